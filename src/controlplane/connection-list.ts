import type { ConnectionFacts, ConnectionPage, ConnectionSelector } from '../shared/messages.ts';
import type { Workers } from './workers.ts';

export type { ConnectionFacts, ConnectionSelector, Ended } from '../shared/messages.ts';

/** A part of the live connections of all workers, those that are not served yet among them, oldest first. */
export interface ConnectionListing {
  readonly connections: readonly ConnectionFacts[];
  /** Where to go on, by lane; undefined: these were the last. */
  readonly next: readonly number[] | undefined;
}

/** At most `limit` connections that are meant, after `after`: the last number seen of each lane, none for a lane that was not seen. */
export async function listConnections(
  workers: Pick<Workers, 'count' | 'list'>,
  selector: ConnectionSelector,
  after: readonly number[],
  limit: number,
): Promise<ConnectionListing> {
  const pages = await Promise.all(
    Array.from({ length: workers.count }, (_, lane) => pageOf(workers, lane, selector, after[lane] ?? 0, limit)),
  );
  const next = pages.map((_, lane) => after[lane] ?? 0);
  const taken = pages.map(() => 0);
  const connections: ConnectionFacts[] = [];
  while (connections.length < limit) {
    const oldest = oldestHead(pages, taken);
    if (oldest === undefined) break;
    connections.push(oldest.connection);
    next[oldest.lane] = oldest.connection.number;
    taken[oldest.lane] = (taken[oldest.lane] ?? 0) + 1;
  }
  const more = pages.some((page, lane) => page.more || page.connections.length > (taken[lane] ?? 0));
  return { connections, next: more ? next : undefined };
}

/** Each worker's own order stays, whatever the wall clock did meanwhile: going on after a number must leave out none. */
function oldestHead(
  pages: readonly ConnectionPage[],
  taken: readonly number[],
): { readonly lane: number; readonly connection: ConnectionFacts } | undefined {
  let oldest: { readonly lane: number; readonly connection: ConnectionFacts } | undefined;
  pages.forEach((page, lane) => {
    const connection = page.connections[taken[lane] ?? 0];
    if (connection === undefined) return;
    if (oldest === undefined || sinceMs(connection) < sinceMs(oldest.connection)) oldest = { lane, connection };
  });
  return oldest;
}

function sinceMs({ openedAtMs, waiting }: ConnectionFacts): number {
  return openedAtMs ?? waiting?.sinceMs ?? 0;
}

function pageOf(
  workers: Pick<Workers, 'list'>,
  lane: number,
  selector: ConnectionSelector,
  after: number,
  limit: number,
): Promise<ConnectionPage> {
  return new Promise((resolve) =>
    workers.list(lane, { selector, after, upTo: Number.POSITIVE_INFINITY, limit }, (page) =>
      resolve(page ?? { connections: [], more: false, lastNumber: 0 }),
    ),
  );
}
