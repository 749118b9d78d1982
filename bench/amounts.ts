/** How much is measured: enough to tell a few per cent apart, little enough to end in time. */

export interface Amounts {
  readonly rounds: number;
  /** Rounds of memory, each with newly started peers. */
  readonly memoryRounds: number;
  readonly connections: number;
  readonly roundTrips: number;
  /** In each direction. */
  readonly megabytes: number;
  /** Connections held while memory is measured. */
  readonly idle: number;
  /** Each version, key and kind of handshake, with this many connections; 0: TLS 1.3, P-256, full handshakes only. */
  readonly handshakes: number;
  /** How the balancer's costs grow with its state is measured up to this size; 0: not at all. */
  readonly scale: number;
  /** No round begins that is expected to end later than this, in milliseconds from the start of the benchmark. */
  readonly roundsEndMs: number;
}

export const FULL: Amounts = {
  rounds: 5,
  memoryRounds: 3,
  connections: 1_000,
  roundTrips: 32_000,
  megabytes: 512,
  idle: 1_000,
  handshakes: 300,
  scale: 10_000,
  roundsEndMs: 600_000,
};

export const QUICK: Amounts = {
  rounds: 5,
  memoryRounds: 1,
  connections: 160,
  roundTrips: 4_800,
  megabytes: 48,
  idle: 250,
  handshakes: 0,
  scale: 0,
  roundsEndMs: 44_000,
};

/** For a test of the benchmark: its figures mean nothing. */
export const SMALLEST: Amounts = {
  rounds: 1,
  memoryRounds: 1,
  connections: 4,
  roundTrips: 32,
  megabytes: 1,
  idle: 4,
  handshakes: 2,
  scale: 0,
  roundsEndMs: 60_000,
};
