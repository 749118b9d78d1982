/** Rounds over all peers: each work is measured at one peer after the other, so that what else the machine does meets them all. */
import type { Amounts } from './amounts.ts';
import type { CertificateFiles } from './certificates.ts';
import type { Peer } from './peers/peer.ts';
import { type Balancer, bringUpAll, type Stage } from './stage.ts';
import { turned } from './turns.ts';
import { measure, measureConnections, measureIdleMemory, type Portion, type Sample, WORKS, type Work, warmUp } from './works.ts';

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
  /** CPU milliseconds per connection where nobody lets sessions be resumed. */
  readonly unresumingMs: ReadonlyMap<string, readonly number[]>;
  /** KB (PSS) per idle connection. */
  readonly idleKb: ReadonlyMap<string, readonly number[]>;
}

/** Nothing was measured. */
export const NO_ROUNDS: Rounds = {
  completed: 0,
  portion: { connections: 0, roundTrips: 0, megabytes: 0 },
  samples: new Map(),
  unresumingMs: new Map(),
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
    started = await bringUpAll(peers, stage, { certificates, resumption: 'asItComes' });
    for (const balancer of turned(started, round)) {
      const kb = await measureIdleMemory(balancer, stage, amounts.idle);
      idleKb.set(balancer.name, [...(idleKb.get(balancer.name) ?? []), kb]);
    }
  }
  const resuming = peers.filter(({ name, resumes }) => resumes && started.some((each) => each.name === name));
  const unresuming = await bringUpAll(resuming, stage, { certificates, resumption: 'nobody' });
  const { contenders, roundMs } = await warmUpAll(
    [...asContenders(started, true), ...asContenders(unresuming, false)],
    stage,
    amounts,
    startedMs,
  );
  const portion = portionOf(amounts, roundMs, startedMs);

  const usual = contenders.filter(({ asItComes }) => asItComes).map(({ balancer }) => balancer);
  const told = contenders.filter(({ asItComes }) => !asItComes).map(({ balancer }) => balancer);
  const samples = new Map(usual.map(({ name }) => [name, emptySamples()]));
  const toldSamples = new Map(told.map(({ name }): [string, Sample[]] => [name, []]));
  let completed = 0;
  let longestMs = 0;
  while (completed < amounts.rounds && (completed === 0 || performance.now() - startedMs + longestMs < amounts.roundsEndMs)) {
    const beganMs = performance.now();
    for (const balancer of turned(told, completed)) {
      toldSamples.get(balancer.name)?.push(await measure('connections', balancer, stage, portion));
    }
    for (const work of WORKS) {
      for (const balancer of turned(usual, completed)) {
        samples.get(balancer.name)?.[work].push(await measure(work, balancer, stage, portion));
      }
    }
    completed++;
    longestMs = Math.max(longestMs, performance.now() - beganMs);
  }
  await endAll([...usual, ...told]);
  const unresumingMs = new Map(
    usual.flatMap(({ name }) => {
      const resumes = resuming.some((each) => each.name === name);
      const its = resumes ? toldSamples.get(name) : samples.get(name)?.connections;
      return its === undefined ? [] : [[name, its.map(({ cpuMsPerUnit }) => cpuMsPerUnit)] as const];
    }),
  );
  return { completed, portion, samples, unresumingMs, idleKb };
}

/** A balancer that takes part: as it comes, at all works; or told to let no session be resumed, at connections. */
interface Contender {
  readonly balancer: Balancer;
  readonly asItComes: boolean;
}

function asContenders(balancers: readonly Balancer[], asItComes: boolean): readonly Contender[] {
  return balancers.map((balancer) => ({ balancer, asItComes }));
}

interface Warm {
  readonly contenders: readonly Contender[];
  /** A round of all of them, as far as can be told by now. */
  readonly roundMs: number;
}

/** Warms up those that there is time to measure at least three times; the others are ended, with a warning. */
async function warmUpAll(all: readonly Contender[], stage: Stage, amounts: Amounts, startedMs: number): Promise<Warm> {
  const left: Contender[] = [];
  let roundMs = 0;
  for (const contender of all.toSorted((a, b) => Number(isNeeded(b)) - Number(isNeeded(a)))) {
    const beganMs = performance.now();
    const resumed = await warm(contender, stage, amounts);
    const itsRoundMs = (performance.now() - beganMs) * ROUND_TO_WARM_UP;
    const endMs = performance.now() - startedMs + FEWEST_ROUNDS * (roundMs + itsRoundMs);
    const late = !isNeeded(contender) && endMs > amounts.roundsEndMs;
    if (!late && resumed === 0) {
      roundMs += itsRoundMs;
      continue;
    }
    left.push(contender);
    const who = contender.asItComes ? contender.balancer.name : `${contender.balancer.name} without resumption`;
    const why = late
      ? `with it ${FEWEST_ROUNDS} rounds would take longer than ${amounts.roundsEndMs / 1_000} seconds`
      : `told to resume no sessions, it resumed ${resumed}`;
    stage.warn(`${who} is left out: ${why}`);
    await contender.balancer.end();
  }
  return { contenders: all.filter((contender) => !left.includes(contender)), roundMs };
}

/** How many sessions were resumed that were not to be. */
async function warm({ balancer, asItComes }: Contender, stage: Stage, amounts: Amounts): Promise<number> {
  if (!asItComes) {
    const count = Math.ceil(amounts.connections / 2);
    return (await measureConnections(balancer, stage, { version: 'TLSv1.3', resume: true, count })).resumed;
  }
  await warmUp(balancer, stage, amounts);
  return 0;
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

function isNeeded({ balancer }: Contender): boolean {
  return NEEDED.includes(balancer.name);
}

function emptySamples(): Record<Work, Sample[]> {
  return { connections: [], roundTrips: [], download: [], upload: [] };
}

async function endAll(balancers: readonly Balancer[]): Promise<void> {
  await Promise.all(balancers.map((balancer) => balancer.end()));
}
