/** Rounds over all peers: each work is measured at one peer after the other, so that what else the machine does meets them all. */
import type { Amounts } from './amounts.ts';
import type { CertificateFiles } from './certificates.ts';
import type { Peer } from './peers/peer.ts';
import { type Balancer, bringUpAll, type Stage } from './stage.ts';
import { measure, measureIdleMemory, type Portion, type Sample, WORKS, type Work, warmUp } from './works.ts';

/** Fewer show no spread. */
const FEWEST_ROUNDS = 3;
/** A round is so many times what the warm-up is, roughly. */
const ROUND_TO_WARM_UP = 1.7;
/** So much of the time is planned with: the rest is for what takes longer than expected. */
const FILLED = 0.8;
/** Measured however long it takes. */
const NEEDED: readonly string[] = ['lbd', 'haproxy', 'node-pipe'];

/** What came of all rounds: by peer and work, one figure a round. */
export interface Rounds {
  readonly completed: number;
  /** What each balancer did in a round. */
  readonly portion: Portion;
  readonly samples: ReadonlyMap<string, Readonly<Record<Work, readonly Sample[]>>>;
  /** KB (PSS) per idle connection. */
  readonly idleKb: ReadonlyMap<string, readonly number[]>;
}

/** Nothing was measured. */
export const NO_ROUNDS: Rounds = {
  completed: 0,
  portion: { connections: 0, roundTrips: 0, megabytes: 0 },
  samples: new Map(),
  idleKb: new Map(),
};

/** Measures memory with newly started peers, then the works with the last of them; the benchmark began at `startedMs`. */
export async function runRounds(
  peers: readonly Peer[],
  stage: Stage,
  certificates: CertificateFiles,
  amounts: Amounts,
  startedMs: number,
): Promise<Rounds> {
  const idleKb = new Map<string, number[]>();
  let started: readonly Balancer[] = [];
  for (let round = 0; round < amounts.memoryRounds; round++) {
    await endAll(started);
    started = await bringUpAll(peers, stage, { certificates, resumption: false });
    for (const balancer of turned(started, round)) {
      const kb = await measureIdleMemory(balancer, stage, amounts.idle);
      idleKb.set(balancer.name, [...(idleKb.get(balancer.name) ?? []), kb]);
    }
  }
  const { balancers, roundMs } = await warmUpAll(started, stage, amounts, startedMs);
  const portion = portionOf(amounts, roundMs, startedMs);

  const samples = new Map(balancers.map(({ name }) => [name, emptySamples()]));
  let completed = 0;
  let longestMs = 0;
  while (completed < amounts.rounds && (completed === 0 || performance.now() - startedMs + longestMs < amounts.roundsEndMs)) {
    const beganMs = performance.now();
    for (const work of WORKS) {
      for (const balancer of turned(balancers, completed)) {
        samples.get(balancer.name)?.[work].push(await measure(work, balancer, stage, portion));
      }
    }
    completed++;
    longestMs = Math.max(longestMs, performance.now() - beganMs);
  }
  await endAll(balancers);
  return { completed, portion, samples, idleKb };
}

interface Warm {
  readonly balancers: readonly Balancer[];
  /** A round of all of them, as far as can be told by now. */
  readonly roundMs: number;
}

/** Warms up those that there is time to measure at least three times; the others are ended, with a warning. */
async function warmUpAll(balancers: readonly Balancer[], stage: Stage, amounts: Amounts, startedMs: number): Promise<Warm> {
  const left: Balancer[] = [];
  let roundMs = 0;
  for (const balancer of balancers.toSorted((a, b) => Number(isNeeded(b)) - Number(isNeeded(a)))) {
    const beganMs = performance.now();
    await warmUp(balancer, stage, amounts);
    const itsRoundMs = (performance.now() - beganMs) * ROUND_TO_WARM_UP;
    const endMs = performance.now() - startedMs + FEWEST_ROUNDS * (roundMs + itsRoundMs);
    if (isNeeded(balancer) || endMs <= amounts.roundsEndMs) {
      roundMs += itsRoundMs;
      continue;
    }
    left.push(balancer);
    stage.warn(
      `${balancer.name} is left out: with it ${FEWEST_ROUNDS} rounds would take longer than ${amounts.roundsEndMs / 1_000} seconds`,
    );
    await balancer.end();
  }
  return { balancers: balancers.filter((balancer) => !left.includes(balancer)), roundMs };
}

/** What one balancer does in a round: more where there is time for more. */
function portionOf(amounts: Amounts, roundMs: number, startedMs: number): Portion {
  const leftMs = amounts.roundsEndMs * FILLED - (performance.now() - startedMs);
  const times = Math.max(1, Math.min(amounts.stretch, leftMs / (amounts.rounds * roundMs)));
  const { connections, roundTrips, megabytes } = amounts;
  return {
    connections: Math.round(connections * times),
    roundTrips: Math.round(roundTrips * times),
    megabytes: Math.round(megabytes * times),
  };
}

function isNeeded({ name }: Balancer): boolean {
  return NEEDED.includes(name);
}

function emptySamples(): Record<Work, Sample[]> {
  return { connections: [], roundTrips: [], download: [], upload: [] };
}

/** Another one begins each round. */
function turned<T>(all: readonly T[], round: number): readonly T[] {
  const first = all.length === 0 ? 0 : round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

async function endAll(balancers: readonly Balancer[]): Promise<void> {
  await Promise.all(balancers.map((balancer) => balancer.end()));
}
