/**
 * The vocabulary of Portcullis as data. Everything is readonly: a change is a Command (state.ts) that yields a new Snapshot.
 * Durations are milliseconds and say so in the name; addresses are `host:port`, IPv6 hosts in brackets.
 */

import type { HealthCheck } from './health-check.ts';
import type { KeyPair, KeyPairFiles, TlsParams } from './tls-material.ts';

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
  /** undefined: a plain listener, which knows a client by its source address only. */
  readonly tls: TlsParams | undefined;
  /** Application protocols that are offered besides those of the routes, most wanted first. */
  readonly alpn: readonly string[];
  /** From these networks (CIDR) a PROXY protocol header is expected before anything else; from others none is accepted. */
  readonly acceptProxyProtocol: readonly string[];
  /** What one source address may do before anything is known of who it is; undefined: not bounded. */
  readonly perAddress: AddressGuard | undefined;
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
  /** It speaks no TLS, and knows clients by their source address only. */
  readonly plain: boolean;
  readonly alpn: readonly string[];
  readonly acceptProxyProtocol: readonly string[];
  readonly perAddress: AddressGuard | undefined;
  readonly targetGroup: string | undefined;
  readonly routes: readonly Route[];
}

/** Bounds of one source address (of an IPv6 address its /64) on a listener, over all workers. */
export interface AddressGuard {
  /** New connections per second, as a token bucket; undefined: not bounded. */
  readonly connectionsPerSecond: number | undefined;
  /** Size of that bucket. */
  readonly burst: number;
  /** Connections whose TLS handshake is not finished; undefined: not bounded. */
  readonly pendingHandshakes: number | undefined;
  /** Connections held, in the handshake or served; undefined: not bounded. */
  readonly concurrentConnections: number | undefined;
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

export const ALGORITHMS = [
  'leastConnections',
  'weightedLeastConnections',
  'roundRobin',
  'weightedRoundRobin',
  'random',
  'powerOfTwoChoices',
  'sourceHash',
  'clientHash',
  'leastLatency',
  'resource',
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
  /** The share of a server that has recovered grows to its whole over this time; 0: it has it at once. */
  readonly slowStartMs: number;
  /** When fewer than this many percent of the servers are healthy, health is not looked at; 0: it always is. */
  readonly panicThreshold: number;
  readonly outlierDetection: OutlierDetection;
  /** Where connections wait while every usable server is at its maxConnections; undefined: they are refused. */
  readonly queue: Queue | undefined;
  /** With sourceHash and clientHash: a server takes at most so many percent of the average load; 0: as many as hash to it. */
  readonly hashBalanceFactor: number;
  /** Asked for the load of each server; undefined: not asked. */
  readonly agentCheck: AgentCheck | undefined;
  /** How connections move back after a server has recovered; undefined: they stay where they are. */
  readonly rebalance: Rebalance | undefined;
  /** The version of the PROXY protocol that servers are sent; undefined: none. */
  readonly sendProxyProtocol: ProxyProtocolVersion | undefined;
  /** TLS to the servers; undefined: plain TCP. */
  readonly upstreamTls: UpstreamTls | undefined;
  /** How often host names are looked up again. */
  readonly resolveIntervalMs: number;
}

/** Passive health: servers are ejected for a while when connections to them fail. */
export interface OutlierDetection {
  /** Connect failures in a row that eject a server; 0: none is ever ejected. */
  readonly consecutiveFailures: number;
  /** The first ejection lasts so long, the second in a row twice that, and so on. */
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  /** At most so many percent of the group's servers are ejected at once, and never the last usable one. */
  readonly maxEjectionPercent: number;
}

export interface Queue {
  /** Connections that may wait, over all clients. */
  readonly maxLength: number;
  readonly timeoutMs: number;
}

/** An agent on each server's host tells the load of the server, in HAProxy's agent format. */
export interface AgentCheck {
  readonly port: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

export interface Rebalance {
  /** Connections that are closed each second, oldest idle first, so that their clients come back elsewhere. */
  readonly perSecond: number;
}

export const PROXY_PROTOCOL_VERSIONS = ['v1', 'v2'] as const;
export type ProxyProtocolVersion = (typeof PROXY_PROTOCOL_VERSIONS)[number];

/** TLS as a client of the upstream servers. Files are absolute paths on the machine of lbd. */
export interface UpstreamTls {
  /** PEM file with the CAs of the servers' certificates; undefined: those that Node.js ships. */
  readonly ca: string | undefined;
  /** Sent as SNI and looked for in the certificate; undefined: the host of the server's address. */
  readonly serverName: string | undefined;
  /** Shown to servers that ask for one. */
  readonly clientCertificate: KeyPairFiles | undefined;
  /** Any certificate will do. */
  readonly insecureSkipVerify: boolean;
}

/** What the files of UpstreamTls hold, read and verified: PEM text. */
export interface UpstreamTlsMaterial {
  /** undefined: the CAs that Node.js ships. */
  readonly caPem: string | undefined;
  readonly keyPair: KeyPair | undefined;
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

/** A named identity with its permissions and limits. */
export interface Client {
  readonly clientId: string;
  readonly match: IdentityMatch;
  readonly allowedTargetGroups: readonly string[];
  readonly limits: Limits;
}

/**
 * Who is this client. Every given field must match. With no field at all, the client's id must equal the certificate's common
 * name or one of its DNS or URI names. A match by `cidr` alone is for plain listeners, and no certificate's.
 */
export interface IdentityMatch {
  readonly cn: string | undefined;
  readonly dns: string | undefined;
  /** In the path of a URI, `*` stands for one segment and `**` for one or more. */
  readonly uri: string | undefined;
  readonly ou: string | undefined;
  /** SHA-256 of the DER certificate: 64 lower-case hex digits. */
  readonly fingerprint: string | undefined;
  /** The network that the connection comes from, such as `10.0.0.0/8`. */
  readonly cidr: string | undefined;
}

export const ANY_NAME_MATCH: IdentityMatch = {
  cn: undefined,
  dns: undefined,
  uri: undefined,
  ou: undefined,
  fingerprint: undefined,
  cidr: undefined,
};

export interface Limits {
  readonly connectionRate: ConnectionRate | undefined;
  readonly concurrentConnections: number | undefined;
  readonly bandwidth: Bandwidth | undefined;
  /** What would be refused or slowed down is counted, and nothing is. */
  readonly shadow: boolean;
}

/** Bytes per second over all connections of the client; undefined: not bounded. */
export interface Bandwidth {
  /** From the client. */
  readonly uploadBytesPerSecond: number | undefined;
  /** To the client. */
  readonly downloadBytesPerSecond: number | undefined;
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
  /**
   * Bucket size of tokenBucket and leakyBucket; with leakyBucket and delay, how many may wait. The other algorithms do not use it.
   * undefined: the limit, whatever that becomes.
   */
  readonly burst: number | undefined;
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
