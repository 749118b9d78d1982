/** What the package exports as `./admin`: the typed client and the messages of the admin API, for services of one's own. */
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { type ChannelOptions, credentials } from '@grpc/grpc-js';
import { AdminServiceClient } from './gen/lb/admin/v1/admin.ts';

export * from './gen/lb/admin/v1/admin.ts';

export interface AdminConnection {
  /** `host:port` of the admin API. */
  readonly addr: string;
  /** PEM: the CA of the server's certificate. */
  readonly ca: string | Buffer;
  /** PEM: a certificate with a role, and its key. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Over the ones that are set here. */
  readonly options?: ChannelOptions;
}

/** A client of the admin API over mutual TLS. It connects at the first call, and again by itself after an interruption. */
export function connectAdmin({ addr, ca, cert, key, options = {} }: AdminConnection): AdminServiceClient {
  const host = addr.slice(0, addr.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
  const verified = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert), {
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  });
  return new AdminServiceClient(addr, verified, {
    // An IP address is no server name (RFC 6066 section 3) and Node.js refuses to send it as one; the certificate is checked against it above.
    ...(isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': 'ip-address.invalid' }),
    // As much as the server sends: a configuration of ten thousand servers and clients has 3 MB.
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    ...options,
  });
}
