/** The administrator of the benchmark of the admin API: a thread that makes one call after the other and times them. */
import type { MessagePort } from 'node:worker_threads';
import { type ClientReadableStream, credentials } from '@grpc/grpc-js';
import * as proto from '../src/gen/lb/admin/v1/admin.ts';
import { configurations } from './config-calls.ts';

const MUTATIONS = 200;
const LISTINGS = 20;

/** What the thread needs to know. */
export interface AdminThread {
  readonly address: string;
  /** host:port of the metrics and the dashboard. */
  readonly metrics: string;
  readonly ca: string;
  readonly key: string;
  readonly certificate: string;
  readonly groups: number;
  /** Calls whose name does not have this are left out. */
  readonly only: string;
}

/** What one kind of call took, in milliseconds. */
export interface Took {
  readonly call: string;
  readonly times: readonly number[];
}

type Paged = { readonly nextPageToken: string };

/** Makes the calls; the other end of the port is told when one kind begins and what it took, and says when to go on. */
export async function administer(port: MessagePort, { address, metrics, ca, key, certificate, groups, only }: AdminThread): Promise<void> {
  const channel = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate));
  const client = new proto.AdminServiceClient(address, channel, {
    'grpc.ssl_target_name_override': 'localhost',
    'grpc.max_receive_message_length': -1,
  });
  const tell = (message: 'begin' | Took) =>
    new Promise<void>((resolve) => {
      port.once('message', () => resolve());
      port.postMessage(message);
    });
  const time = async (call: string, count: number, make: (index: number) => Promise<unknown>) => {
    if (!call.includes(only)) return;
    await tell('begin');
    const times: number[] = [];
    for (let index = 0; index < count; index++) {
      const startedMs = performance.now();
      await make(index);
      times.push(performance.now() - startedMs);
    }
    await tell({ call, times });
  };
  const called = <T>(make: (done: (error: Error | null, answer: T) => void) => unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      make((error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
  const everyPage = async (next: (pageToken: string) => Promise<Paged>) => {
    let token = '';
    do token = (await next(token)).nextPageToken;
    while (token !== '');
  };
  const fetched = async (path: string) => (await fetch(`http://${metrics}${path}`)).arrayBuffer();
  /** Resolves when `enough` says so of a message; then the stream is left. */
  const streamed = <T>(stream: ClientReadableStream<T>, enough: (message: T) => boolean) =>
    new Promise<void>((resolve, reject) => {
      stream.on('data', (message: T) => {
        if (!enough(message)) return;
        resolve();
        stream.cancel();
      });
      // Leaving a stream is an error to grpc-js, which comes too late to count.
      stream.on('error', reject);
    });
  const newServer = (index: number) => ({ targetGroup: `group-${index % groups}`, address: `10.200.0.${index}:80` });

  await called((done) => client.getLogLevel({}, done));
  await time('AddClient', MUTATIONS, (index) => {
    const request = { client: { clientId: `new-${index}`, allowedTargetGroups: ['group-1'], limits: { connectionRate: { limit: 5 } } } };
    return called((done) => client.addClient(proto.AddClientRequest.fromPartial(request), done));
  });
  await time('UpdateClient', MUTATIONS, (index) => {
    const request = { client: { clientId: `client-${index}`, limits: { concurrentConnections: 5 } } };
    return called((done) => client.updateClient(proto.UpdateClientRequest.fromPartial(request), done));
  });
  await time('RemoveClient', MUTATIONS, (index) =>
    called((done) => client.removeClient(proto.RemoveClientRequest.fromPartial({ clientId: `client-${1000 + index}` }), done)),
  );
  await time('AddUpstreamServer', MUTATIONS, (index) => {
    const { targetGroup, address } = newServer(index);
    return called((done) =>
      client.addUpstreamServer(proto.AddUpstreamServerRequest.fromPartial({ targetGroup, server: { address } }), done),
    );
  });
  await time('SetUpstreamServer', MUTATIONS, (index) => {
    const server = `10.${index % groups}.0.${index % 100}:80`;
    const request = { targetGroup: `group-${index % groups}`, server, weight: 5 };
    return called((done) => client.setUpstreamServer(proto.SetUpstreamServerRequest.fromPartial(request), done));
  });
  await time('AddTargetGroup', MUTATIONS, (index) => {
    const targetGroup = { name: `new-${index}`, healthCheck: { type: proto.CheckType.NONE }, servers: [{ address: '10.201.0.1:80' }] };
    return called((done) => client.addTargetGroup(proto.AddTargetGroupRequest.fromPartial({ targetGroup }), done));
  });
  await time('RevokeCertificate', MUTATIONS, (index) => {
    const request = { certificateId: { $case: 'fingerprint', value: index.toString(16).padStart(64, '0') } } as const;
    return called((done) => client.revokeCertificate(proto.RevokeCertificateRequest.fromPartial(request), done));
  });
  await time('ListTargetGroups, every page', LISTINGS, () =>
    everyPage((pageToken) => called((done) => client.listTargetGroups(proto.ListTargetGroupsRequest.fromPartial({ pageToken }), done))),
  );
  await time('ListClients, one page', LISTINGS, () => called((done) => client.listClients(proto.ListClientsRequest.create(), done)));
  await time('ListClients, every page', LISTINGS, () =>
    everyPage((pageToken) => called((done) => client.listClients(proto.ListClientsRequest.fromPartial({ pageToken }), done))),
  );
  await time('ListUpstreamServers, every page', LISTINGS, () =>
    everyPage((pageToken) =>
      called((done) => client.listUpstreamServers(proto.ListUpstreamServersRequest.fromPartial({ pageToken }), done)),
    ),
  );
  await time('GetState', LISTINGS, () => called((done) => client.getState(proto.GetStateRequest.create(), done)));
  await time('GetActiveConnections', LISTINGS, () =>
    called((done) => client.getActiveConnections(proto.GetActiveConnectionsRequest.create(), done)),
  );
  await time('GetFailedConnections', LISTINGS, () =>
    called((done) => client.getFailedConnections(proto.GetFailedConnectionsRequest.create(), done)),
  );
  await time('ListCertificates', LISTINGS, () => called((done) => client.listCertificates(proto.ListCertificatesRequest.create(), done)));
  await time('WatchStats, the first counters', LISTINGS, () =>
    streamed(client.watchStats(proto.WatchStatsRequest.create()), ({ more }) => !more),
  );
  await time('WatchHealth, until synced', LISTINGS, () =>
    streamed(client.watchHealth(proto.WatchHealthRequest.create()), ({ kind }) => kind === proto.WatchHealthResponse_Kind.SYNCED),
  );
  if ('Config'.includes(only) || only.includes('Config')) await configurations({ client, call: called, time });
  await time('GET /metrics', LISTINGS, () => fetched('/metrics'));
  await time('GET /api/state', LISTINGS, () => fetched('/api/state'));
  client.close();
  port.close();
}
