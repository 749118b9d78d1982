/** How the balancer's costs grow with what it has to know and to hold. */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import type { CertificateFiles } from './certificates.ts';
import type { Pinning } from './children.ts';
import { type Servers, startServers } from './load.ts';
import { LBD_SETTINGS, type LbdSettings, startLbd } from './peers/lbd.ts';
import { cpuMs, memoryKb } from './process-costs.ts';
import { short, spreadOf } from './spread.ts';
import { type Balancer, bringUp, type Stage } from './stage.ts';
import { holding, measureConnections, observed } from './works.ts';

/** One point of a curve. */
export interface ScalePoint {
  readonly of: 'servers' | 'clients' | 'workers' | 'idle connections' | 'probed servers';
  readonly size: number;
  readonly figure: string;
  readonly value: number;
}

const SIZES = [10, 100, 1_000, 10_000] as const;
const CONNECTIONS = 300;
const ROUNDS = 5;
/** Of each worker, which compiles code of its own, in so many times what is measured then. */
const WARM_UP = 3;
const ACTIVE = 100;
const ROUND_TRIPS = 20_000;
const MESSAGE_BYTES = 100;
const PROBED_SERVERS = 1_000;
const PROBE_EVERY_MS = 1_000;
const WATCHED_MS = 5_000;
/** Files beside those of connections; a balancer has two a connection. */
const FILES_BESIDE = 200;
const NOT_PINNED: Pinning = { balancer: undefined, load: undefined };

/** Measures up to `most` of everything; what the open-file limit does not allow is measured smaller, with a warning. */
export async function measureScale(stage: Stage, certificates: CertificateFiles, most: number): Promise<readonly ScalePoint[]> {
  const points: ScalePoint[] = [];
  const sizes = SIZES.filter((size) => size <= most);
  const connections = Math.min(CONNECTIONS, most * 4);
  const point = (of: ScalePoint['of'], size: number, figure: string, value: number) => {
    points.push({ of, size, figure, value: short(value) });
    stage.say(`${size} ${of}: ${short(value)} ${figure}`);
  };

  const start = (settings: Partial<LbdSettings>, on: Stage = stage) => bringUpLbd(on, certificates, { ...LBD_SETTINGS, ...settings });
  const compare = (of: ScalePoint['of'], figure: string, candidates: readonly Candidate[]) =>
    compareConnecting(candidates, connections, (size, value) => point(of, size, figure, value));

  const crowds = await inTurn(sizes, async (size) => {
    const crowd = { ...stage, servers: await startServers(stage.children, size, stage.pinning.load) };
    return { size, stage: crowd, balancer: await start({}, crowd) };
  });
  await compare('servers', 'CPU ms per connection', crowds);
  await inTurn(crowds, ({ stage: { servers } }) => servers.end());
  const knowing = await inTurn(sizes, async (size) => ({ size, stage, balancer: await start({ clients: size }) }));
  await compare('clients', 'CPU ms per connection', knowing);
  const working = await inTurn([1, 2], async (workers) => ({ size: workers, workers, stage, balancer: await start({ workers }) }));
  await compare('workers', 'CPU ms per connection', working);
  const everywhere = { ...stage, pinning: NOT_PINNED };
  const spread = await inTurn([1, 2], async (workers) => ({
    size: workers,
    workers,
    stage,
    balancer: await start({ workers }, everywhere),
  }));
  await compare('workers', 'CPU ms per connection, beside the load', spread);
  await withLbd(stage, certificates, LBD_SETTINGS, (balancer) => growIdle(balancer, stage, Math.min(most, roomFor(stage)), point));
  await withServers(stage, Math.min(most, PROBED_SERVERS), async (crowd) => {
    const settings = { ...LBD_SETTINGS, probeEveryMs: PROBE_EVERY_MS };
    await withLbd(crowd, certificates, settings, async (balancer) => {
      await wait(WATCHED_MS);
      const before = cpuMs(balancer.pid);
      await wait(WATCHED_MS);
      const perSecond = ((cpuMs(balancer.pid) - before) * 1_000) / WATCHED_MS;
      point('probed servers', crowd.servers.addresses.length, 'CPU ms a second, a TCP probe each second', perSecond);
    });
  });
  return points;
}

/** More and more connections that do nothing, beside 100 that do. */
async function growIdle(
  balancer: Balancer,
  stage: Stage,
  most: number,
  point: (of: ScalePoint['of'], size: number, figure: string, value: number) => void,
): Promise<void> {
  const target = balancer.target('TLSv1.3');
  const active = Math.min(ACTIVE, most);
  await holding(target, 'echo', active, stage, async () => {
    let idle = 0;
    for (const size of new Set(SIZES.map((each) => Math.max(active, Math.min(each, most))))) {
      if (size > idle) await stage.load.order({ kind: 'open', target, mode: 'echo', count: size - idle });
      idle = size;
      const count = Math.min(ROUND_TRIPS, most * 100);
      const exchange = { kind: 'exchange', connections: active, count, bytes: MESSAGE_BYTES } as const;
      await stage.load.order(exchange);
      const { balancerMs } = await observed(balancer, stage, exchange);
      point('idle connections', idle, `CPU ms per 1,000 round trips of ${active} others`, (balancerMs * 1_000) / count);
      point('idle connections', idle, 'MB held by the balancer', memoryKb(balancer.pid) / 1_024);
    }
  });
}

/** How many idle connections fit into the open files of one process. */
function roomFor(stage: Stage): number {
  const limit = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Number.POSITIVE_INFINITY);
  const room = Math.floor((limit - FILES_BESIDE) / 2) - ACTIVE;
  const [most = room] = SIZES.slice(-1);
  if (room < most) stage.warn(`only ${room} idle connections are measured: a process may have ${limit} files open`);
  return room;
}

/** An lbd of one size, and where it is. */
interface Candidate {
  readonly size: number;
  readonly workers?: number;
  readonly stage: Stage;
  readonly balancer: Balancer;
}

/** The median at each over some rounds in which they take turns, so that what else the machine does meets all of them; ends them. */
async function compareConnecting(
  candidates: readonly Candidate[],
  count: number,
  tell: (size: number, value: number) => void,
): Promise<void> {
  const connect = async ({ balancer, stage }: Candidate, connections: number) =>
    (await measureConnections(balancer, stage, { version: 'TLSv1.3', resume: false, count: connections })).cpuMsPerUnit;
  await inTurn(candidates, (each) => connect(each, count * WARM_UP * (each.workers ?? 1)));
  const costs = candidates.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, each] of candidates.entries()) costs[index]?.push(await connect(each, count));
  }
  for (const [index, { size }] of candidates.entries()) tell(size, spreadOf(costs[index] ?? [])?.median ?? Number.NaN);
  await inTurn(candidates, ({ balancer }) => balancer.end());
}

/** One after the other. */
async function inTurn<T, R>(all: readonly T[], act: (each: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (const each of all) results.push(await act(each));
  return results;
}

function bringUpLbd(stage: Stage, certificates: CertificateFiles, settings: LbdSettings): Promise<Balancer> {
  return bringUp('lbd', (surroundings) => startLbd(surroundings, settings), stage, { certificates, resumption: 'asItComes' });
}

async function withServers(stage: Stage, count: number, meanwhile: (stage: Stage) => Promise<void>): Promise<void> {
  const servers: Servers = await startServers(stage.children, count, stage.pinning.load);
  await meanwhile({ ...stage, servers });
  await servers.end();
}

async function withLbd(
  stage: Stage,
  certificates: CertificateFiles,
  settings: LbdSettings,
  meanwhile: (balancer: Balancer) => Promise<void>,
): Promise<void> {
  const balancer = await bringUpLbd(stage, certificates, settings);
  await meanwhile(balancer);
  await balancer.end();
}
