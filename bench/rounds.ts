/** Rounds over all peers: each work is measured at one peer after the other, so that what else the machine does meets them all. */
import type { Amounts } from './amounts.ts';
import type { CertificateFiles } from './certificates.ts';
import type { Peer } from './peers/peer.ts';
import { type Balancer, bringUpAll, type Stage } from './stage.ts';
import { measure, measureIdleMemory, type Sample, WORKS, type Work, warmUp } from './works.ts';

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
  for (const balancer of balancers) await warmUp(balancer, stage, amounts);

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
