/** What a test does to a running daemon: its admin API over gRPC, and connections of its clients. */
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { type Client, credentials } from '@grpc/grpc-js';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import { AdminServiceClient } from '../../src/gen/lb/admin/v1/admin.ts';
import type { ReadyDaemon } from './daemon.ts';
import { type TlsClient, type TlsClientOptions, tlsClient } from './tls-client.ts';

type Cleanup = Pick<TestContext, 'after'>;
type ClientClass<T> = new (address: string, channelCredentials: ReturnType<typeof credentials.createSsl>, options?: object) => T;

/** AdminService as the operator of the daemon's default configuration. */
export function adminOf(t: Cleanup, daemon: ReadyDaemon): AdminServiceClient {
  return grpcClient(t, AdminServiceClient, daemon);
}

/** Any service of the daemon's admin server; `as` and `caPem` are the operator's and the daemon's unless told. */
export function grpcClient<T extends Client>(
  t: Cleanup,
  service: ClientClass<T>,
  { admin, operator, ca }: Pick<ReadyDaemon, 'admin' | 'operator' | 'ca'>,
  { as, caPem = ca.caPem }: { readonly as?: KeyAndCertificate; readonly caPem?: string } = {},
): T {
  const { keyPem, certPem } = as ?? { keyPem: readFileSync(operator.privateKey), certPem: readFileSync(operator.certificate) };
  const channel = credentials.createSsl(Buffer.from(caPem), Buffer.from(keyPem), Buffer.from(certPem));
  const client = new service(admin, channel, { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost' });
  t.after(() => client.close());
  return client;
}

/** A connection of the client that the certificate is. */
export function connectTo(
  t: Cleanup,
  { port, ca }: Pick<ReadyDaemon, 'port' | 'ca'>,
  certificate: KeyAndCertificate,
  options: Partial<TlsClientOptions> = {},
): TlsClient {
  return tlsClient(t, { port, ca: ca.caPem, certificate, ...options });
}

/** Sends a line to an echo server and waits for it to come back. @throws when the connection ends before */
export async function roundTrip(client: TlsClient, text: string): Promise<void> {
  client.socket.write(`${text}\n`);
  await client.readUntil(`${text}\n`);
}
