/** Rounds over all peers: each work is measured at one peer after the other, so that what else the machine does meets them all. */
import type { Amounts } from './amounts.ts';
import type { CertificateFiles } from './certificates.ts';
import type { Peer } from './peers/peer.ts';
import { type Balancer, bringUpAll, type Stage } from './stage.ts';
import { measure, measureIdleMemory, type Sample, WORKS, type Work, warmUp } from './works.ts';

/** Fewer show no spread. */
const FEWEST_ROUNDS = 3;
/** A round is so many times what the warm-up is, roughly. */
const ROUND_TO_WARM_UP = 1.7;
/** Measured however long it takes. */
const NEEDED: readonly string[] = ['lbd', 'haproxy', 'node-pipe'];

/** What came of all rounds: by peer and work, one figure a round. */
export interface Rounds {
  readonly completed: number;
  readonly samples: ReadonlyMap<string, Readonly<Record<Work, readonly Sample[]>>>;
  /** KB (PSS) per idle connection. */
  readonly idleKb: ReadonlyMap<string, readonly number[]>;
}

/** Nothing was measured. */
export const NO_ROUNDS: Rounds = { completed: 0, samples: new Map(), idleKb: new Map() };

/** Measures memory with newly started peers, then the works with the last of them; the benchmark began at `startedMs`. */
export async function runRounds(
  peers: readonly Peer[],
  stage: Stage,
  certificates: CertificateFiles,
  amounts: Amounts,
  startedMs: number,
): Promise<Rounds> {
  const idleKb = new Map<string, number[]>();
  let balancers: readonly Balancer[] = [];
  for (let round = 0; round < amounts.memoryRounds; round++) {
    await endAll(balancers);
    balancers = await bringUpAll(peers, stage, { certificates, resumption: false });
    for (const balancer of turned(balancers, round)) {
      const kb = await measureIdleMemory(balancer, stage, amounts.idle);
      idleKb.set(balancer.name, [...(idleKb.get(balancer.name) ?? []), kb]);
    }
  }
  balancers = await warmUpAll(balancers, stage, amounts, startedMs);

  const samples = new Map(balancers.map(({ name }) => [name, emptySamples()]));
  let completed = 0;
  let longestMs = 0;
  while (completed < amounts.rounds && (completed === 0 || performance.now() - startedMs + longestMs < amounts.roundsEndMs)) {
    const beganMs = performance.now();
    for (const work of WORKS) {
      for (const balancer of turned(balancers, completed)) {
        samples.get(balancer.name)?.[work].push(await measure(work, balancer, stage, amounts));
      }
    }
    completed++;
    longestMs = Math.max(longestMs, performance.now() - beganMs);
  }
  await endAll(balancers);
  return { completed, samples, idleKb };
}

/** Warms up those that there is time to measure at least three times; the others are ended, with a warning. */
async function warmUpAll(balancers: readonly Balancer[], stage: Stage, amounts: Amounts, startedMs: number): Promise<readonly Balancer[]> {
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
  return balancers.filter((balancer) => !left.includes(balancer));
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
