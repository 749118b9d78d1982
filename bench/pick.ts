/**
 * What one choice of a server costs: `node bench/pick.ts`. For each algorithm and number of servers a group in shared memory as the
 * workers have it; each step chooses a server, takes one of its places, and gives back the place taken longest ago, so that loads keep
 * changing. Nanoseconds of CPU time for a whole step, the least of several runs; with all servers healthy, then with every other one
 * unhealthy. Weights go from 1 to 8.
 */
import { PoolFollower, ServerPool } from '../src/dataplane/server-pool.ts';
import { ServerView } from '../src/dataplane/server-view.ts';
import { maglevTable, tableSize } from '../src/domain/balancing/maglev.ts';
import { DEFAULT_GROUP } from '../src/domain/defaults.ts';
import { ALGORITHMS, type Algorithm } from '../src/domain/model.ts';
import { LaneWriter } from '../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../src/shared/memory/layout.ts';
import { SharedLedger } from '../src/shared/memory/ledger.ts';

const SIZES = [10, 100, 1000, 10_000];
const STEPS = 20_000;
const RUNS = 7;

/** Nanoseconds a step. */
function measure(algorithm: Algorithm, size: number, isHealthy: (index: number) => boolean): number {
  const buffers = createSharedBuffers(1);
  const ledger = new SharedLedger(buffers);
  const lane = new LaneWriter(buffers, 0);
  const servers = Array.from({ length: size }, (_, index) => {
    const target = { host: `10.0.${index >> 8}.${index & 255}`, port: 80 };
    const address = `${target.host}:${target.port}`;
    const configured = { address, weight: 1 + (index % 8), maxConnections: undefined, backup: false, mode: 'ready' } as const;
    ledger.setHealth(index, isHealthy(index) ? 'healthy' : 'unhealthy');
    lane.facts.observeLatency(index, 1 + (index % 5), 1);
    return new ServerView(configured, target, index, 0, lane);
  });
  const group = { ...DEFAULT_GROUP, name: 'bench', servers: [], algorithm };
  const pool = new ServerPool(group, new PoolFollower(lane));
  pool.update(group, servers);
  const held: ServerView[] = [];
  const step = (number: number) => {
    const server = pool.choose({ clientId: `client-${number % 997}`, source: BigInt(number % 997) });
    if (server === undefined) throw new Error(`${algorithm} found no server`);
    lane.reserveServer(server.slot, server.active());
    held.push(server);
    const oldest = held.length > 2 * size ? held[number % held.length] : undefined;
    if (oldest === undefined) return;
    lane.releaseServer(oldest.slot);
    held[number % held.length] = server;
    held.pop();
  };
  for (let number = 0; number < STEPS + 2 * size; number++) step(number);
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage();
    for (let number = 0; number < STEPS; number++) step(number);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / STEPS);
  }
  return least;
}

const row = (name: string, cells: readonly (string | number)[]) =>
  console.log(name.padEnd(26) + cells.map((cell) => String(cell).padStart(10)).join(''));

for (const [title, isHealthy] of [
  ['all healthy', () => true],
  ['half unhealthy', (index: number) => index % 2 === 0],
] as const) {
  row(title, [...SIZES, 'ratio']);
  for (const algorithm of ALGORITHMS) {
    const costs = SIZES.map((size) => Math.round(measure(algorithm, size, isHealthy)));
    row(algorithm, [...costs, ((costs.at(-1) ?? 0) / (costs[0] ?? 1)).toFixed(2)]);
  }
  console.log();
}

row('Maglev table', ['entries', 'ms']);
for (const size of SIZES) {
  const servers = Array.from({ length: size }, (_, index) => ({
    address: `10.0.${index >> 8}.${index & 255}:80`,
    weight: 1 + (index % 8),
  }));
  const times = Array.from({ length: RUNS }, () => {
    const startedMs = performance.now();
    maglevTable(servers);
    return performance.now() - startedMs;
  });
  row(`${size} servers`, [tableSize(size), Math.min(...times).toFixed(1)]);
}
