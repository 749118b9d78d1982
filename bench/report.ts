/** The benchmark's result as one object: what `--output json` prints and what tables and plots are made of. */
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import type { Amounts } from './amounts.ts';
import type { Pinning } from './children.ts';
import type { DirectRates } from './generator-check.ts';
import type { HandshakeCost } from './handshakes.ts';
import type { Latency } from './messages.ts';
import type { RefusalCost } from './refusals.ts';
import type { Rounds } from './rounds.ts';
import type { ScalePoint } from './scale.ts';
import { ratios, type Spread, short, spreadOf } from './spread.ts';
import type { StepTable } from './steps/curves.ts';
import { type Sample, UNIT_OF, WORKS, type Work } from './works.ts';

/** What ratios are told of; bulk is both directions together. */
export const BUDGET = { connections: 0.8, roundTrips: 1, bulk: 0.95, idleMemory: 1.5 } as const;
export type Budgeted = keyof typeof BUDGET;

/** One work of one peer over all rounds. */
export interface WorkReport {
  readonly unit: string;
  readonly cpuMsPerUnit: Spread;
  readonly ratioToHaproxy: Spread | null;
  readonly perSecond: Spread;
  readonly latencyMs: Latency | null;
  /** CPU time over wall time of balancer, load and servers: medians. */
  readonly busy: { readonly balancer: number; readonly load: number; readonly servers: number };
  readonly negotiated: string;
}

export interface PeerReport {
  readonly version: string;
  readonly works: Readonly<Record<Work, WorkReport>>;
  /** Where nobody lets sessions be resumed; null: not measured. */
  readonly connectionsWithoutResumption: { readonly cpuMsPerUnit: Spread; readonly ratioToHaproxy: Spread | null } | null;
  readonly idleMemory: { readonly unit: 'KB (PSS) per connection'; readonly kb: Spread; readonly ratioToHaproxy: Spread | null };
  /** Of all that the budget is about. */
  readonly ratiosToHaproxy: Readonly<Record<Budgeted, Spread | null>>;
}

export interface Report {
  /** lbd's medians; null where HAProxy was not measured. */
  readonly ratiosToHaproxy: Readonly<Record<Budgeted, number | null>>;
  /** lbd's median where nobody lets sessions be resumed; as they come HAProxy does, and lbd does not. */
  readonly ratioWithoutResumption: { readonly connections: number | null };
  readonly budget: typeof BUDGET;
  readonly machine: Machine;
  readonly settings: { readonly tls: 'TLSv1.3'; readonly key: 'P-256'; readonly handshake: 'full' } & Omit<
    Amounts,
    'roundsEndMs' | 'stretch'
  >;
  readonly rounds: { readonly planned: number; readonly completed: number; readonly memory: number };
  readonly versions: Readonly<Record<string, string>>;
  readonly notFound: readonly string[];
  readonly peers: Readonly<Record<string, PeerReport>>;
  /** The works without balancer and TLS, per second. */
  readonly direct: DirectRates;
  readonly handshakes: readonly HandshakeCost[];
  readonly refusals: readonly RefusalCost[];
  readonly scale: readonly ScalePoint[];
  readonly steps: readonly StepTable[];
  readonly warnings: readonly string[];
  readonly seconds: number;
}

export interface Machine {
  readonly cpu: string;
  readonly processors: number;
  readonly memoryGb: number;
  readonly kernel: string;
  /** Over one minute, when the benchmark began. */
  readonly loadAverage: number;
  readonly pinned: Pinning | null;
}

/** What was measured, before it is put together. */
export interface Findings
  extends Pick<
    Report,
    'machine' | 'versions' | 'notFound' | 'direct' | 'handshakes' | 'refusals' | 'scale' | 'steps' | 'warnings' | 'seconds'
  > {
  readonly amounts: Amounts;
  readonly rounds: Rounds;
}

const BASE = 'haproxy';

/** Puts it together. */
export function reportOf({ amounts, rounds, ...rest }: Findings): Report {
  const { roundsEndMs: _, stretch: __, ...settings } = amounts;
  const peers = Object.fromEntries(
    [...rounds.samples].flatMap(([name, samples]) => {
      const peer = peerReport(name, rest.versions[name] ?? 'unknown', samples, rounds);
      return peer === undefined ? [] : [[name, peer]];
    }),
  );
  const own = peers['lbd'];
  const median = (what: Budgeted) => own?.ratiosToHaproxy[what]?.median ?? null;
  return {
    ratiosToHaproxy: {
      connections: median('connections'),
      roundTrips: median('roundTrips'),
      bulk: median('bulk'),
      idleMemory: median('idleMemory'),
    },
    ratioWithoutResumption: { connections: own?.connectionsWithoutResumption?.ratioToHaproxy?.median ?? null },
    budget: BUDGET,
    settings: { tls: 'TLSv1.3', key: 'P-256', handshake: 'full', ...settings, ...rounds.portion },
    rounds: { planned: amounts.rounds, completed: rounds.completed, memory: amounts.memoryRounds },
    peers,
    ...rest,
  };
}

function peerReport(
  name: string,
  version: string,
  samples: Readonly<Record<Work, readonly Sample[]>>,
  rounds: Rounds,
): PeerReport | undefined {
  const base = rounds.samples.get(BASE);
  const [connections, roundTrips, download, upload] = WORKS.map((work) => workReport(work, samples[work], base?.[work]));
  const idleKb = rounds.idleKb.get(name) ?? [];
  const kb = spreadOf(idleKb);
  if (!(connections && roundTrips && download && upload && kb)) return undefined;
  const idleRatio = ratioSpread(idleKb, rounds.idleKb.get(BASE));
  const unresumingMs = rounds.unresumingMs.get(name) ?? [];
  const unresuming = spreadOf(unresumingMs);
  return {
    version,
    works: { connections, roundTrips, download, upload },
    connectionsWithoutResumption:
      unresuming === undefined
        ? null
        : { cpuMsPerUnit: unresuming, ratioToHaproxy: ratioSpread(unresumingMs, rounds.unresumingMs.get(BASE)) },
    idleMemory: { unit: 'KB (PSS) per connection', kb, ratioToHaproxy: idleRatio },
    ratiosToHaproxy: {
      connections: connections.ratioToHaproxy,
      roundTrips: roundTrips.ratioToHaproxy,
      bulk: ratioSpread(bothWays(samples), base === undefined ? undefined : bothWays(base)),
      idleMemory: idleRatio,
    },
  };
}

function bothWays({ download, upload }: Readonly<Record<Work, readonly Sample[]>>): readonly number[] {
  return download.map(({ cpuMsPerUnit }, round) => cpuMsPerUnit + (upload[round]?.cpuMsPerUnit ?? Number.NaN));
}

function workReport(work: Work, samples: readonly Sample[], base: readonly Sample[] | undefined): WorkReport | undefined {
  const of = (figure: (sample: Sample) => number) => samples.map(figure);
  const median = (figure: (sample: Sample) => number) => spreadOf(of(figure))?.median ?? 0;
  const cpuMsPerUnit = spreadOf(of((sample) => sample.cpuMsPerUnit));
  const perSecond = spreadOf(of((sample) => sample.perSecond));
  if (cpuMsPerUnit === undefined || perSecond === undefined) return undefined;
  const latencies = samples.some(({ latency }) => latency !== undefined);
  const percentile = (which: keyof Latency) => median(({ latency }) => latency?.[which] ?? 0);
  return {
    unit: UNIT_OF[work],
    cpuMsPerUnit,
    ratioToHaproxy: ratioSpread(
      of((sample) => sample.cpuMsPerUnit),
      base?.map((sample) => sample.cpuMsPerUnit),
    ),
    perSecond,
    latencyMs: latencies ? { p50Ms: percentile('p50Ms'), p99Ms: percentile('p99Ms'), p999Ms: percentile('p999Ms') } : null,
    busy: {
      balancer: median(({ busy }) => busy.balancer),
      load: median(({ busy }) => busy.load),
      servers: median(({ busy }) => busy.servers),
    },
    negotiated: samples.find(({ negotiated }) => negotiated !== '')?.negotiated ?? '',
  };
}

function ratioSpread(values: readonly number[], base: readonly number[] | undefined): Spread | null {
  return spreadOf(ratios(values, base ?? [])) ?? null;
}

/** This machine, as it is when the benchmark begins. */
export function machine(pinned: Pinning): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    processors: availableParallelism(),
    memoryGb: short(totalmem() / 1024 ** 3),
    // Without the name of its build.
    kernel: /^[\d.]+/.exec(release())?.[0] ?? release(),
    loadAverage: short(loadavg()[0] ?? 0),
    pinned: pinned.balancer === undefined ? null : pinned,
  };
}
