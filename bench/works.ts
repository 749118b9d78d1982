/** The works that balancers are measured at. */

import { LoadFailure } from './load.ts';
import type { Done, Latency, Mode, Order, TlsVersion } from './messages.ts';
import { cpuMs, memoryKb } from './process-costs.ts';
import type { Balancer, Stage } from './stage.ts';

/** In the order of a round. */
export const WORKS = ['connections', 'roundTrips', 'download', 'upload'] as const;
export type Work = (typeof WORKS)[number];

/** What a unit of work is: CPU time is told per unit, in milliseconds. */
export const UNIT_OF: Readonly<Record<Work, string>> = {
  connections: 'connection',
  roundTrips: '1,000 round trips',
  download: 'GB from server to client',
  upload: 'GB from client to server',
};

const EXCHANGING = 16;
const MESSAGE_BYTES = 100;
const TRANSFERRING = 4;
const CONNECTING_AT_ONCE = 16;

/** One measurement of one balancer. */
export interface Sample {
  /** CPU time of the balancer per unit of work. */
  readonly cpuMsPerUnit: number;
  /** Connections, round trips or megabytes. */
  readonly perSecond: number;
  /** Of connections and round trips. */
  readonly latency: Latency | undefined;
  /** CPU time over wall time: who had no more to give. */
  readonly busy: { readonly balancer: number; readonly load: number; readonly servers: number };
  readonly negotiated: string;
  readonly resumed: number;
}

export interface Portion {
  readonly connections: number;
  readonly roundTrips: number;
  readonly megabytes: number;
}

/** Measures one balancer at one work. @throws LoadFailure when a connection fails */
export async function measure(work: Work, balancer: Balancer, stage: Stage, portion: Portion): Promise<Sample> {
  try {
    return await measureWork(work, balancer, stage, portion);
  } catch (error) {
    throw error instanceof LoadFailure ? error.at(balancer.name) : error;
  }
}

async function measureWork(work: Work, balancer: Balancer, stage: Stage, portion: Portion): Promise<Sample> {
  const target = balancer.target('TLSv1.3');
  switch (work) {
    case 'connections':
      return measureConnections(balancer, stage, { version: 'TLSv1.3', resume: false, count: portion.connections });
    case 'roundTrips': {
      const exchange: Order = { kind: 'exchange', connections: EXCHANGING, count: portion.roundTrips, bytes: MESSAGE_BYTES };
      const done = await holding(target, 'echo', EXCHANGING, stage, () => observed(balancer, stage, exchange));
      return sampleOf(done, portion.roundTrips / 1_000, portion.roundTrips);
    }
    case 'download':
    case 'upload': {
      const transfer: Order = { kind: 'transfer', bytes: portion.megabytes * 1e6 };
      const done = await holding(target, work, TRANSFERRING, stage, () => observed(balancer, stage, transfer));
      return sampleOf(done, portion.megabytes / 1_000, portion.megabytes);
    }
  }
}

/** Connections with one small round trip each. @throws LoadFailure when one fails */
export async function measureConnections(
  balancer: Balancer,
  stage: Stage,
  { version, resume, count }: { readonly version: TlsVersion; readonly resume: boolean; readonly count: number },
): Promise<Sample> {
  const target = balancer.target(version);
  return sampleOf(await observed(balancer, stage, { kind: 'connect', target, count, atOnce: CONNECTING_AT_ONCE, resume }), count, count);
}

/** Half of a round and more, so that the first round is not the one in which code is compiled and pools are filled. */
export async function warmUp(balancer: Balancer, stage: Stage, portion: Portion): Promise<void> {
  const part = { connections: portion.connections / 2, roundTrips: portion.roundTrips, megabytes: portion.megabytes / 2 };
  for (const work of WORKS) await measure(work, balancer, stage, mapCeil(part));
}

function mapCeil({ connections, roundTrips, megabytes }: Portion): Portion {
  return { connections: Math.ceil(connections), roundTrips: Math.ceil(roundTrips), megabytes: Math.ceil(megabytes) };
}

/** KB (PSS) that one idle connection adds to a balancer that has served a few; each has had one round trip. */
export async function measureIdleMemory(balancer: Balancer, stage: Stage, count: number): Promise<number> {
  const target = balancer.target('TLSv1.3');
  await measureConnections(balancer, stage, { version: 'TLSv1.3', resume: false, count: Math.ceil(count / 10) });
  const beforeKb = memoryKb(balancer.pid);
  return holding(target, 'echo', count, stage, async () => (memoryKb(balancer.pid) - beforeKb) / count);
}

/** What happens while connections are held; they are ended afterwards. */
export async function holding<T>(
  target: ReturnType<Balancer['target']>,
  mode: Mode,
  count: number,
  stage: Stage,
  meanwhile: () => Promise<T>,
) {
  await stage.load.order({ kind: 'open', target, mode, count });
  const result = await meanwhile();
  await stage.load.order({ kind: 'release' });
  return result;
}

/** An order that was carried out, and what it cost meanwhile. */
export interface Observed {
  readonly done: Done;
  readonly balancerMs: number;
  readonly serversMs: number;
}

/** Gives an order and reads what it cost the balancer and the servers. */
export async function observed(balancer: Balancer, { load, servers }: Stage, order: Order): Promise<Observed> {
  const before = { balancer: cpuMs(balancer.pid), servers: cpuMs(servers.pid) };
  const done = await load.order(order);
  return { done, balancerMs: cpuMs(balancer.pid) - before.balancer, serversMs: cpuMs(servers.pid) - before.servers };
}

function sampleOf({ done, balancerMs, serversMs }: Observed, units: number, counted: number): Sample {
  const wallMs = done.seconds * 1_000;
  return {
    cpuMsPerUnit: balancerMs / units,
    perSecond: counted / done.seconds,
    latency: done.latency,
    busy: { balancer: balancerMs / wallMs, load: done.cpuMs / wallMs, servers: serversMs / wallMs },
    negotiated: done.negotiated,
    resumed: done.resumed,
  };
}
