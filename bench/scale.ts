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
const CONNECTIONS = 400;
const WORKER_WARM_UP = 1_500;
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

  for (const size of sizes) {
    await withServers(stage, size, async (crowd) => {
      await withLbd(crowd, certificates, LBD_SETTINGS, crowd.servers.addresses, async (balancer) => {
        point('servers', size, 'CPU ms per connection', await connecting(balancer, crowd, connections));
      });
    });
  }
  for (const size of sizes) {
    await withLbd(stage, certificates, { ...LBD_SETTINGS, clients: size }, undefined, async (balancer) => {
      point('clients', size, 'CPU ms per connection', await connecting(balancer, stage, connections));
    });
  }
  // Each worker compiles its own code.
  const warmUp = Math.min(WORKER_WARM_UP, most);
  for (const workers of [1, 2]) {
    await withLbd(stage, certificates, { ...LBD_SETTINGS, workers }, undefined, async (balancer) => {
      point('workers', workers, 'CPU ms per connection', await connecting(balancer, stage, connections, workers * warmUp));
    });
  }
  for (const workers of [1, 2]) {
    await withLbd({ ...stage, pinning: NOT_PINNED }, certificates, { ...LBD_SETTINGS, workers }, undefined, async (balancer) => {
      point('workers', workers, 'CPU ms per connection, beside the load', await connecting(balancer, stage, connections, workers * warmUp));
    });
  }
  await withLbd(stage, certificates, LBD_SETTINGS, undefined, (balancer) =>
    growIdle(balancer, stage, Math.min(most, roomFor(stage)), point),
  );
  await withServers(stage, Math.min(most, PROBED_SERVERS), async (crowd) => {
    const settings = { ...LBD_SETTINGS, probeEveryMs: PROBE_EVERY_MS };
    await withLbd(crowd, certificates, settings, crowd.servers.addresses, async (balancer) => {
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

/** The median of three times, after one that is not counted. */
async function connecting(balancer: Balancer, stage: Stage, count: number, warmUp = count): Promise<number> {
  const connect = async (connections: number) =>
    (await measureConnections(balancer, stage, { version: 'TLSv1.3', resume: false, count: connections })).cpuMsPerUnit;
  await connect(warmUp);
  return spreadOf([await connect(count), await connect(count), await connect(count)])?.median ?? Number.NaN;
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
  servers: readonly string[] | undefined,
  meanwhile: (balancer: Balancer) => Promise<void>,
): Promise<void> {
  const casting = { certificates, resumption: false, ...(servers === undefined ? {} : { servers }) };
  const balancer = await bringUp('lbd', (surroundings) => startLbd(surroundings, settings), stage, casting);
  await meanwhile(balancer);
  await balancer.end();
}
