/**
 * What one choice of a server costs. For each algorithm and number of servers a group in shared memory as the workers have it; each step
 * chooses a server, takes one of its places, and gives back a place taken before, so that loads keep changing. Weights go from 1 to 8.
 */
import { markdownTable } from '../../scripts/markdown.ts';
import { PoolFollower, ServerPool } from '../../src/dataplane/server-pool.ts';
import { ServerView } from '../../src/dataplane/server-view.ts';
import { maglevTable, tableSize } from '../../src/domain/balancing/maglev.ts';
import { DEFAULT_GROUP } from '../../src/domain/defaults.ts';
import { ALGORITHMS, type Algorithm } from '../../src/domain/model.ts';
import { LaneWriter } from '../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../src/shared/memory/ledger.ts';
import { repeating } from './cost.ts';
import { type Curve, curveOf, SIZES } from './curves.ts';

/** Who connects, for the algorithms that hash: as many keys as a large pool has servers. */
const CALLERS = 9_973;
const TABLE_RUNS = 7;

/** All algorithms, with every server healthy or with every other one. */
export async function pickCurves(healthy: 'all' | 'half'): Promise<readonly Curve[]> {
  const curves: Curve[] = [];
  for (const algorithm of ALGORITHMS) curves.push(await curveOf(algorithm, (size) => repeating(picking(algorithm, size, healthy))));
  return curves;
}

function picking(algorithm: Algorithm, size: number, healthy: 'all' | 'half'): (number: number) => void {
  const buffers = createSharedBuffers(1);
  const ledger = new SharedLedger(buffers);
  const lane = new LaneWriter(buffers, 0);
  const servers = Array.from({ length: size }, (_, index) => {
    const target = { host: hostOf(index), port: 80 };
    const configured = {
      address: `${target.host}:80`,
      weight: weightOf(index),
      maxConnections: undefined,
      backup: false,
      mode: 'ready',
    } as const;
    ledger.setHealth(index, healthy === 'all' || index % 2 === 0 ? 'healthy' : 'unhealthy');
    lane.facts.observeLatency(index, 1 + (index % 5), 1);
    return new ServerView(configured, target, index, 0, lane);
  });
  const group = { ...DEFAULT_GROUP, name: 'bench', servers: [], algorithm };
  const pool = new ServerPool(group, new PoolFollower(lane));
  pool.update(group, servers);
  const callers = Array.from({ length: CALLERS }, (_, index) => ({
    clientId: `client-${index}`,
    source: 0xffff_0a00_0000n + BigInt(index),
  }));
  const held: ServerView[] = [];
  return (number) => {
    const caller = callers[number % CALLERS];
    const server = caller && pool.choose(caller);
    if (server === undefined) throw new Error(`${algorithm} found no server`);
    lane.reserveServer(server.slot, server.active());
    held.push(server);
    const oldest = held.length > 2 * size ? held[number % held.length] : undefined;
    if (oldest === undefined) return;
    lane.releaseServer(oldest.slot);
    held[number % held.length] = server;
    held.pop();
  };
}

/** Markdown: how long the hash table of a group takes to make, which is done when its servers change. */
export function maglevTimes(): string {
  const rows = SIZES.map((size) => {
    const servers = Array.from({ length: size }, (_, index) => ({ address: `${hostOf(index)}:80`, weight: weightOf(index) }));
    const times = Array.from({ length: TABLE_RUNS }, () => {
      const startedMs = performance.now();
      maglevTable(servers);
      return performance.now() - startedMs;
    });
    return [size.toLocaleString('en'), tableSize(size).toLocaleString('en'), Math.min(...times).toFixed(1)];
  });
  return markdownTable(['servers', 'entries of the Maglev table', 'ms to make it'], rows);
}

function hostOf(index: number): string {
  return `10.0.${index >> 8}.${index & 255}`;
}

function weightOf(index: number): number {
  return 1 + (index % 8);
}
