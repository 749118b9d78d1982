/** What bench/isolation.ts and the program that floods say to each other. */
import type { ConnectionOptions } from 'node:tls';

/** Each is bounded in how much it holds, and ends when it is told. */
export const FLOODS = ['handshakes', 'hellos', 'connections', 'bytes', 'half-open', 'slow reads'] as const;
export type Flood = (typeof FLOODS)[number];

export interface FloodOrder {
  readonly port: number;
  readonly tls: ConnectionOptions;
}

/** What it says once its own server listens. */
export interface FlooderReady {
  readonly address: string;
}
