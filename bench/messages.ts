/** What the benchmark and its load generator say to each other, and what the load and the servers say on a connection. */

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** Where the load goes: through a balancer, or without TLS to a server itself. */
export type Target =
  | {
      readonly port: number;
      readonly tls: { readonly version: TlsVersion; readonly ca: string; readonly certificate: string; readonly key: string };
    }
  | { readonly port: number; readonly tls: undefined };

/** What a connection is for; its first byte says so, and the server answers with one byte. */
export const MODES = { echo: 'e', download: 'd', upload: 'u' } as const;
export type Mode = keyof typeof MODES;

/** A download's request, and an upload's beginning, is the number of bytes, as 64 bits, big-endian. */
export const LENGTH_BYTES = 8;

export type Order =
  /** Connects, has one byte answered, closes; `count` times, `atOnce` at a time. */
  | { readonly kind: 'connect'; readonly target: Target; readonly count: number; readonly atOnce: number; readonly resume: boolean }
  /** Opens connections and holds them; what is open already stays. */
  | { readonly kind: 'open'; readonly target: Target; readonly mode: Mode; readonly count: number }
  /** Sends `bytes` over each of the first `connections` that are held and waits for them to come back; `count` times in all. */
  | { readonly kind: 'exchange'; readonly connections: number; readonly count: number; readonly bytes: number }
  /** Moves `bytes` in all over the connections that are held, in the direction of their mode. */
  | { readonly kind: 'transfer'; readonly bytes: number }
  /**
   * Connects from another address of loopback, says what is not TLS, or with TLS what a client says, and waits to be turned away; `count`
   * times, `atOnce` at a time.
   */
  | { readonly kind: 'beRefused'; readonly target: Target; readonly from: string; readonly count: number; readonly atOnce: number }
  /** Ends all connections that are held; answered when they are closed. */
  | { readonly kind: 'release' };

/** What came of an order. */
export interface Done {
  readonly seconds: number;
  /** CPU time of the load generator. */
  readonly cpuMs: number;
  /** Of each connection or round trip. */
  readonly latency: Latency | undefined;
  /** How many handshakes resumed a session. */
  readonly resumed: number;
  /** Protocol, suite and group of the last handshake. */
  readonly negotiated: string;
}

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

export type Answer = { readonly kind: 'done'; readonly done: Done } | { readonly kind: 'failed'; readonly message: string };

/** The servers listen. */
export interface ServersReady {
  readonly addresses: readonly string[];
}
