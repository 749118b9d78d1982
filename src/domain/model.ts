/**
 * The vocabulary of Portcullis as data. Everything is readonly: a change is a Command (state.ts) that yields a new Snapshot.
 * Durations are milliseconds and say so in the name; addresses are `host:port`, IPv6 hosts in brackets.
 */

/** A monotonic number; every accepted change makes a new one. 0 is the empty state before the first change. */
export type Revision = number;

export interface Snapshot {
  readonly revision: Revision;
  readonly listeners: readonly Listener[];
  readonly targetGroups: ReadonlyMap<string, TargetGroup>;
  readonly clients: ReadonlyMap<string, Client>;
  /** Certificates revoked at run time, by fingerprint; a certificate on a CRL need not be here. */
  readonly revocations: ReadonlyMap<string, Revocation>;
}

export const EMPTY_SNAPSHOT: Snapshot = { revision: 0, listeners: [], targetGroups: new Map(), clients: new Map(), revocations: new Map() };

/** A place where clients connect. */
export interface Listener {
  readonly name: string;
  readonly address: Address;
  readonly tls: TlsParams;
  /** Set: every connection on this listener goes to this group ("by port"). */
  readonly targetGroup: string | undefined;
  /** Otherwise the first route that matches decides. */
  readonly routes: readonly Route[];
}

/** A listener as it runs. */
export interface BoundListener {
  readonly name: string;
  /** host:port with the port that was really bound. */
  readonly address: string;
  readonly targetGroup: string | undefined;
  readonly routes: readonly Route[];
}

export interface Address {
  /** An IP literal without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
}

/** Matches when every given field matches. `sni` may start with `*.` for one label. */
export interface Route {
  readonly sni: string | undefined;
  readonly alpn: string | undefined;
  readonly targetGroup: string;
}

/** Where TLS material is on disk (absolute paths) and which protocol versions and suites are offered. */
export interface TlsParams {
  readonly certificate: string;
  readonly privateKey: string;
  readonly caCert: string;
  readonly crl: string | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list, suites of TLS 1.3 and 1.2 joined by colons. */
  readonly ciphers: string;
}

/** What the files of TlsParams hold, read and verified: PEM text. */
export interface TlsMaterial {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly caPem: string;
  readonly crlPem: string | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly ciphers: string;
}

export const ALGORITHMS = [
  'leastConnections',
  'weightedLeastConnections',
  'roundRobin',
  'weightedRoundRobin',
  'random',
  'powerOfTwoChoices',
] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** A named set of interchangeable upstream servers. */
export interface TargetGroup {
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly servers: readonly UpstreamServer[];
  readonly healthCheck: HealthCheck;
  readonly connectTimeoutMs: number;
  /** How many OTHER servers are tried after the first refuses. */
  readonly retries: number;
  /** What happens to live connections when their server turns unhealthy. */
  readonly onUnhealthy: 'keep' | 'close';
}

export interface UpstreamServer {
  /** `host:port`; unique within the group. */
  readonly address: string;
  /** 0 to 256; 0 takes no new connections. */
  readonly weight: number;
  readonly maxConnections: number | undefined;
  /** Takes connections only when no other server of the group can. */
  readonly backup: boolean;
  readonly mode: ServerMode;
}

export const SERVER_MODES = ['ready', 'drain', 'maintenance'] as const;
/** `drain` takes no new connections and is still probed; `maintenance` is not probed either. */
export type ServerMode = (typeof SERVER_MODES)[number];

/** A certificate that is no longer accepted, whoever signed it. */
export interface Revocation {
  /** SHA-256 of the DER certificate: 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** Why, for people. */
  readonly comment: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface HealthCheck {
  readonly type: 'tcp' | 'tls' | 'http' | 'none';
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failures in a row that make a healthy server unhealthy. */
  readonly unhealthyThreshold: number;
  /** Successes in a row that make an unhealthy server healthy. */
  readonly healthyThreshold: number;
  /** The interval grows to this while the server stays down. */
  readonly maxIntervalMs: number;
  readonly http: HttpCheck | undefined;
}

export interface HttpCheck {
  readonly path: string;
  readonly host: string | undefined;
  /** Inclusive range of status codes that mean healthy. */
  readonly statusFrom: number;
  readonly statusTo: number;
}

/** A named identity with its permissions and limits. */
export interface Client {
  readonly clientId: string;
  readonly match: IdentityMatch;
  readonly allowedTargetGroups: readonly string[];
  readonly limits: Limits;
}

/**
 * Which certificates are this client. Every given field must match. With no field at all, the client's id must equal the
 * certificate's common name or one of its DNS or URI names.
 */
export interface IdentityMatch {
  readonly cn: string | undefined;
  readonly dns: string | undefined;
  readonly uri: string | undefined;
  readonly ou: string | undefined;
  /** SHA-256 of the DER certificate: 64 lower-case hex digits. */
  readonly fingerprint: string | undefined;
}

export const ANY_NAME_MATCH: IdentityMatch = { cn: undefined, dns: undefined, uri: undefined, ou: undefined, fingerprint: undefined };

export interface Limits {
  readonly connectionRate: ConnectionRate | undefined;
  readonly concurrentConnections: number | undefined;
}

export const RATE_ALGORITHMS = ['fixedWindow', 'slidingWindowCounter', 'slidingWindowLog', 'tokenBucket', 'leakyBucket'] as const;
export type RateAlgorithm = (typeof RATE_ALGORITHMS)[number];

/** What a connection over its limit gets: a TCP RST, a TLS close, or a bounded wait. */
export type LimitAction = 'reset' | 'close' | 'delay';

export interface ConnectionRate {
  readonly algorithm: RateAlgorithm;
  /** Connections per window, at least 1. */
  readonly limit: number;
  readonly windowMs: number;
  /** Bucket size of tokenBucket and leakyBucket; with leakyBucket and delay, how many may wait. The other algorithms do not use it. */
  readonly burst: number;
  readonly action: LimitAction;
  /** With `delay`: a connection that would wait longer is refused. */
  readonly maxDelayMs: number;
}

export interface Timeouts {
  readonly handshakeMs: number;
  readonly idleMs: number;
  readonly halfCloseMs: number;
  /** undefined: connections may last for ever. */
  readonly maxDurationMs: number | undefined;
  readonly drainMs: number;
}

/** How much is logged, most first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A server's key across groups: the same address in two groups is two servers with their own health and counters. */
export function serverKey(group: string, address: string): string {
  return `${group}/${address}`;
}

export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
