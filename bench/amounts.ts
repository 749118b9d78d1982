/** How much is measured: enough to tell a few per cent apart, little enough to end in time. */

export interface Amounts {
  /** Over all peers; 0: neither works nor memory are measured. */
  readonly rounds: number;
  /** Rounds of memory, each with newly started peers. */
  readonly memoryRounds: number;
  readonly connections: number;
  readonly roundTrips: number;
  /** In each direction. */
  readonly megabytes: number;
  /** Connections held while memory is measured. */
  readonly idle: number;
  /** Each version, key and kind of handshake, with this many connections a round; 0: TLS 1.3, P-256, full handshakes only. */
  readonly handshakes: number;
  /** Connections a round that are refused after a handshake, and a multiple of it without one; 0: not measured. */
  readonly refusals: number;
  /** How the balancer's costs grow with its state is measured up to this size; 0: not at all. */
  readonly scale: number;
  /** Whether the steps of a connection are measured by themselves. */
  readonly steps: boolean;
  /** Connections, round trips and megabytes are up to so many times as many where few balancers leave the time: longer works tell more. */
  readonly stretch: number;
  /** No round begins that is expected to end later than this, in milliseconds from the start of the benchmark. */
  readonly roundsEndMs: number;
}

export const FULL: Amounts = {
  rounds: 5,
  memoryRounds: 3,
  connections: 2_000,
  roundTrips: 64_000,
  megabytes: 1_024,
  idle: 1_000,
  handshakes: 300,
  refusals: 200,
  scale: 10_000,
  steps: true,
  stretch: 1,
  roundsEndMs: 900_000,
};

export const QUICK: Amounts = {
  rounds: 5,
  memoryRounds: 1,
  connections: 160,
  roundTrips: 6_400,
  megabytes: 48,
  idle: 800,
  handshakes: 0,
  refusals: 0,
  scale: 0,
  steps: false,
  stretch: 4,
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
  refusals: 2,
  scale: 0,
  steps: false,
  stretch: 1,
  roundsEndMs: 60_000,
};

/** What can be measured alone. */
export const PARTS = ['rounds', 'handshakes', 'refusals', 'scale', 'steps'] as const;
export type Part = (typeof PARTS)[number];

/** As much of these parts, and nothing of the others. */
export function onlyParts(amounts: Amounts, parts: readonly Part[]): Amounts {
  const has = (part: Part) => parts.includes(part);
  return {
    ...amounts,
    rounds: has('rounds') ? amounts.rounds : 0,
    handshakes: has('handshakes') ? amounts.handshakes : 0,
    refusals: has('refusals') ? amounts.refusals : 0,
    scale: has('scale') ? amounts.scale : 0,
    steps: has('steps') && amounts.steps,
  };
}
