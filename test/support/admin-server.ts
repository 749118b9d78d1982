/** An admin server for tests: the real one on a real port with real certificates, over a state that the test can reach into. */
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { type Client, type ClientReadableStream, credentials, Metadata, type MethodDefinition, type StatusObject } from '@grpc/grpc-js';
import { pino } from 'pino';
import type { AdminContext, HealthView } from '../../src/admin/context.ts';
import { AdminServer } from '../../src/admin/server.ts';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { Authority } from '../../src/controlplane/authority.ts';
import type { ConnectionFacts, ConnectionSelector } from '../../src/controlplane/connection-list.ts';
import type { WatchItem } from '../../src/controlplane/connection-watch.ts';
import { HealthJournal, type ServerHealth } from '../../src/controlplane/health-journal.ts';
import { Slots } from '../../src/controlplane/slots.ts';
import { Stats } from '../../src/controlplane/stats.ts';
import { MemoryStore } from '../../src/controlplane/store/memory.ts';
import type { Store } from '../../src/controlplane/store/store.ts';
import { createPlanner } from '../../src/daemon.ts';
import type { BoundListener } from '../../src/domain/model.ts';
import { ANY_NAME_MATCH, type LogLevel, serverKey } from '../../src/domain/model.ts';
import type { RoleRules } from '../../src/domain/roles.ts';
import type { TlsMaterial } from '../../src/domain/tls-material.ts';
import { BadRequest, ErrorInfo } from '../../src/gen/google/rpc/error_details.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import { AdminServiceClient } from '../../src/gen/lb/admin/v1/admin.ts';
import { LaneWriter } from '../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers, type HealthCode } from '../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../src/shared/memory/ledger.ts';
import { createTestCa, type TestCa } from './certificates.ts';
import { sampleClient, sampleGroup } from './sample-state.ts';

interface KeyAndCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Who has which role in {@link startAdmin}: the common name of a certificate is its role; the OU `auditors` views too. */
export const TEST_ROLES: RoleRules = {
  viewer: [
    { ...ANY_NAME_MATCH, cn: 'viewer' },
    { ...ANY_NAME_MATCH, ou: 'auditors' },
  ],
  operator: [{ ...ANY_NAME_MATCH, cn: 'operator' }],
  admin: [{ ...ANY_NAME_MATCH, cn: 'admin' }],
};

export const VERSION = '1.2.3-test';
export const STARTED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

/** A health checker that says what the test told it to. */
export class ScriptedHealth implements HealthView {
  readonly journal: HealthJournal;
  readonly #servers = new Map<string, ServerHealth>();
  /** What firstProbe waits for; nothing unless told. */
  firstProbes: Promise<void> = Promise.resolve();
  readonly probed: string[] = [];

  constructor(journal: HealthJournal) {
    this.journal = journal;
  }

  statusOf(group: string, server: string): ServerHealth | undefined {
    return this.#servers.get(serverKey(group, server));
  }

  list(): readonly ServerHealth[] {
    return [...this.#servers.values()];
  }

  async firstProbe(group: string, server: string): Promise<void> {
    this.probed.push(serverKey(group, server));
    await this.firstProbes;
  }

  /** Sets a server's health and writes the change into the journal. */
  turn(group: string, server: string, to: HealthCode, cause = 'scripted'): void {
    const from = this.statusOf(group, server)?.health ?? 'unknown';
    const sinceMs = Date.UTC(2026, 5, 1);
    this.#servers.set(serverKey(group, server), {
      ...{ group, server, health: to, cause, lastProbe: cause, lastProbeMs: 1.5, sinceMs },
      ...{ probedAtMs: sinceMs + 1000, nextProbeAtMs: sinceMs + 6000 },
    });
    this.journal.append({ kind: 'changed', group, server, from, to, cause, atMs: sinceMs });
  }

  remove(group: string, server: string): void {
    const from = this.statusOf(group, server)?.health ?? 'unknown';
    this.#servers.delete(serverKey(group, server));
    this.journal.append({ kind: 'removed', group, server, from, to: 'unknown', cause: 'removed', atMs: Date.UTC(2026, 5, 2) });
  }
}

/** What the admin server asked the data plane to close. */
export interface CloseRequest {
  readonly selector: { readonly clientId?: string; readonly group?: string; readonly server?: string };
  readonly reason: string;
}

/** How the data plane was asked to end what is not allowed any more. */
export interface EnforceRequest {
  readonly mode: 'reset' | 'drain';
  readonly deadlineMs: number;
  readonly anew?: ConnectionSelector;
}

export interface TestAdmin {
  readonly ca: TestCa;
  readonly server: AdminServer;
  /** 127.0.0.1:port */
  readonly target: string;
  readonly authority: Authority;
  readonly slots: Slots;
  /** Counts as a worker would. */
  readonly worker: LaneWriter;
  readonly health: ScriptedHealth;
  readonly closed: CloseRequest[];
  /** What the data plane does when it is asked to close connections. */
  onClose: (request: CloseRequest) => number | Promise<number>;
  readonly enforced: EnforceRequest[];
  /** What happens between a plan and its execution. */
  onPlanned: () => Promise<unknown> | undefined;
  /** How many connections it then says that it ends. */
  onEnforce: () => number | Promise<number>;
  /** The live connections that the data plane tells of. */
  live: readonly ConnectionFacts[];
  /** For another server over the same state. */
  readonly context: AdminContext;
  readonly logLevel: { current: LogLevel };
  /** Every log line so far, parsed. */
  readonly lines: Record<string, unknown>[];
  /** A certificate of the CA, by common name; the same one each time. */
  certificate(commonName: string): Promise<KeyAndCertificate>;
  material(from?: TestCa): Promise<TlsMaterial>;
  /** A client of the given service, with the certificate of this common name; it is closed when the test ends. */
  connect<T extends Client>(service: ClientClass<T>, as: string | KeyAndCertificate): Promise<T>;
  /** The same for AdminService. */
  as(commonName: string): Promise<AdminServiceClient>;
}

type ClientClass<T> = new (address: string, channelCredentials: ReturnType<typeof credentials.createSsl>, options?: object) => T;

export interface AdminOptions {
  readonly store?: Store;
  readonly drainTimeoutMs?: number;
}

/** What the admin server is told that it runs with: the listener `main` and nothing else that the tests look at. */
const RUNNING: Config = parseConfig(
  JSON.stringify({
    listeners: [{ name: 'main', address: '127.0.0.1:8080' }],
    tlsParams: { certificate: 'lb.crt', privateKey: 'lb.key', caCert: 'ca.pem' },
    store: { kind: 'memory' },
    workers: 2,
  }),
  '/etc/portcullis/lb.yaml',
);

/** Two groups (`web` with two servers, `db` with one), the client `clientA` of `web`, and the admin server over them. */
export async function startAdmin(t: Pick<TestContext, 'after'>, options: AdminOptions = {}): Promise<TestAdmin> {
  const { store = new MemoryStore(), drainTimeoutMs = 30_000 } = options;
  const authority = await Authority.open(store);
  const ledger = new SharedLedger(createSharedBuffers(1));
  const slots = new Slots(ledger);
  authority.subscribe(({ next }) => void slots.follow(next));
  await authority.execute(
    {
      kind: 'replaceAll',
      listeners: RUNNING.listeners,
      targetGroups: [sampleGroup('web', ['127.0.0.1:8082', '127.0.0.1:8081']), sampleGroup('db', ['127.0.0.1:8085'])],
      clients: [sampleClient('clientA', ['web'])],
      revocations: [],
    },
    { actor: 'bootstrap' },
  );

  const ca = await createTestCa();
  const lines: Record<string, unknown>[] = [];
  const closed: CloseRequest[] = [];
  const enforced: EnforceRequest[] = [];
  const logLevel: { current: LogLevel } = { current: 'info' };
  const journal = new HealthJournal(STARTED_AT_MS, 1500);
  const health = new ScriptedHealth(journal);
  const listeners: BoundListener[] = [
    {
      name: 'main',
      address: '127.0.0.1:43210',
      plain: false,
      alpn: ['h2'],
      acceptProxyProtocol: ['10.0.0.0/8'],
      perAddress: { connectionsPerSecond: 50, burst: 100, pendingHandshakes: undefined, concurrentConnections: undefined },
      targetGroup: undefined,
      routes: [{ sni: '*.db', alpn: undefined, targetGroup: 'db' }],
    },
  ];
  const planner = createPlanner(RUNNING, pino({ level: 'silent' }));
  t.after(() => planner.stop());
  const context: AdminContext = {
    authority,
    stats: new Stats(ledger, slots),
    agents: { answerOf: () => undefined },
    upstreams: { ejectionOf: () => undefined, resolutionOf: () => undefined, isInPanic: () => false, rebalancing: () => undefined },
    health,
    journal,
    connections: {
      close: async (selector, reason) => {
        closed.push({ selector, reason });
        return { served: await admin.onClose({ selector, reason }), waiting: 0 };
      },
      enforce: async (mode, deadlineMs, anew) => {
        enforced.push({ mode, deadlineMs, ...(anew && { anew }) });
        return { served: await admin.onEnforce(), waiting: 0 };
      },
      list: async () => ({ connections: admin.live, next: undefined }),
      watch: () => emptyWatch(),
    },
    certificates: { served: () => [], lists: () => [], inUse: () => [], reload: async () => ({ connectionsClosed: 0, warnings: [] }) },
    explain: async () => undefined,
    planner: {
      plan: async (goal, state) => {
        const planned = await planner.plan(goal, state);
        await admin.onPlanned();
        return planned;
      },
      export: (state) => planner.export(state),
      retell: (before, changes) => planner.retell(before, changes),
    },
    logLevel: {
      get: () => logLevel.current,
      set: (level) => {
        logLevel.current = level;
      },
    },
    listeners: () => listeners,
    workers: 2,
    startedAtMs: STARTED_AT_MS,
    version: VERSION,
    drainTimeoutMs,
    log: pino({ level: 'trace' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  };

  const material = async (from: TestCa = ca): Promise<TlsMaterial> => {
    const { certPem, keyPem } = await from.issueServer();
    return {
      certificatePem: certPem,
      privateKeyPem: keyPem,
      ocsp: undefined,
      certificates: [],
      sessionTickets: undefined,
      caPem: from.caPem,
      crlPem: undefined,
      minVersion: 'TLSv1.2',
      ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
    };
  };
  const server = await AdminServer.start(context, {
    address: { host: '127.0.0.1', port: 0 },
    material: await material(),
    roles: TEST_ROLES,
  });
  t.after(() => server.stop(0));

  const issued = new Map<string, Promise<KeyAndCertificate>>();
  const certificate = (commonName: string) => {
    const known = issued.get(commonName) ?? ca.issue({ cn: commonName });
    issued.set(commonName, known);
    return known;
  };
  const target = `127.0.0.1:${server.address.port}`;
  const connect = async <T extends Client>(service: ClientClass<T>, as: string | KeyAndCertificate): Promise<T> => {
    const { certPem, keyPem } = typeof as === 'string' ? await certificate(as) : as;
    const channel = credentials.createSsl(Buffer.from(ca.caPem), Buffer.from(keyPem), Buffer.from(certPem));
    // A channel of its own for each client: what one test does to a connection is no other's business.
    const client = new service(target, channel, {
      'grpc.ssl_target_name_override': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
    });
    t.after(() => client.close());
    return client;
  };
  const admin: TestAdmin = {
    ca,
    server,
    target,
    authority,
    slots,
    worker: new LaneWriter(ledger.buffers, 0),
    health,
    closed,
    onClose: () => 0,
    enforced,
    onPlanned: () => undefined,
    onEnforce: () => 0,
    live: [],
    context,
    logLevel,
    lines,
    certificate,
    material,
    connect,
    as: (commonName) => connect(AdminServiceClient, commonName),
  };
  return admin;
}

/** What a reader of the connections of a data plane without any is told. */
function emptyWatch(): ReturnType<AdminContext['connections']['watch']> {
  const items: WatchItem[] = [{ kind: 'synced', atMs: STARTED_AT_MS }];
  return { next: () => items.shift(), onNews: () => undefined, failed: new Promise(() => undefined), close: () => undefined };
}

/** Makes one unary call: `await ask(client, AdminServiceService.getState, {})`. */
export function ask<Request, Response>(client: Client, method: MethodDefinition<Request, Response>, request: Request): Promise<Response> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, (error, response) => {
      if (error !== null) reject(error);
      else if (response === undefined) reject(new Error('neither an answer nor an error'));
      else resolve(response);
    });
  });
}

/** One server stream, read message by message. */
export class Watch<Response> {
  readonly stream: ClientReadableStream<Response>;
  readonly #ended = Promise.withResolvers<StatusObject>();

  constructor(stream: ClientReadableStream<Response>) {
    this.stream = stream;
    stream.on('status', (status: StatusObject) => this.#ended.resolve(status));
    // The status says the same; an error nobody listens for would end the test run.
    stream.on('error', () => undefined);
  }

  /** The next message. @throws when the stream ends instead */
  async next(): Promise<Response> {
    for (;;) {
      const message: Response | null = this.stream.read();
      if (message !== null) return message;
      const ended = await Promise.race([once(this.stream, 'readable').then(() => undefined), this.#ended.promise]);
      if (ended !== undefined && this.stream.readableLength === 0) throw new Error(`the stream ended: ${ended.code} ${ended.details}`);
    }
  }

  async take(count: number): Promise<Response[]> {
    const messages: Response[] = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }

  /** How the stream ended; messages that nobody has read are thrown away. */
  async ended(): Promise<StatusObject> {
    this.stream.resume();
    return this.#ended.promise;
  }

  cancel(): Promise<StatusObject> {
    this.stream.cancel();
    return this.ended();
  }
}

/** Opens one server stream: `watch(client, AdminServiceService.watchHealth, {...})`. */
export function watch<Request, Response>(client: Client, method: MethodDefinition<Request, Response>, request: Request): Watch<Response> {
  return new Watch(client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, request));
}

/** A refusal as a test compares it. */
export interface Refused {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly domain: string;
  /** Of the field violations; empty when there are none. */
  readonly fields: readonly string[];
}

/** The refusal that a call ends with. @throws when it is answered instead, or fails without google.rpc details */
export async function refused(call: Promise<unknown>): Promise<Refused> {
  try {
    await call;
  } catch (error) {
    return refusalIn(error);
  }
  throw new Error('the call was answered, and it should have been refused');
}

/** Reads the details of a gRPC error. @throws when it has none */
export function refusalIn(error: unknown): Refused {
  if (!isStatus(error)) throw error;
  const [packed] = error.metadata.get('grpc-status-details-bin');
  if (!(packed instanceof Buffer)) throw new Error(`no details in: ${error.details}`);
  const status = Status.decode(packed);
  if (status.code !== error.code || status.message !== error.details) throw new Error('the details tell another status');
  const detail = (type: string) => status.details.find((each) => each.typeUrl === `type.googleapis.com/google.rpc.${type}`)?.value;
  const info = ErrorInfo.decode(detail('ErrorInfo') ?? Buffer.alloc(0));
  const violations = BadRequest.decode(detail('BadRequest') ?? Buffer.alloc(0)).fieldViolations;
  return {
    code: error.code,
    reason: info.reason,
    message: error.details,
    domain: info.domain,
    fields: violations.map(({ field }) => field),
  };
}

function isStatus(error: unknown): error is StatusObject {
  return typeof error === 'object' && error !== null && 'code' in error && 'metadata' in error && error.metadata instanceof Metadata;
}
