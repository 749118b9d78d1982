/** What is left of a client's limits, in few words. */
import type { ClientCounters } from '../src/gen/lb/admin/v1/admin.ts';
import { formatBytes } from './sizes.ts';

export interface Headroom {
  /** With its unit, in at most twelve characters where numbers are below a million: `4 new`, `3 open`, `1.2 MB down`. */
  readonly text: string;
  readonly isUsedUp: boolean;
}

/**
 * The limit that holds the client back first: one that is used up, else the connection limit that admits fewer, else the bandwidth
 * with fewer bytes left. Undefined: it has no limit.
 */
export function scarcestHeadroom(counters: ClientCounters | undefined): Headroom | undefined {
  if (counters === undefined) return undefined;
  const { rateHeadroom, connectionsHeadroom, uploadHeadroom, downloadHeadroom } = counters;
  const ofConnections = [left(rateHeadroom, 'new'), left(connectionsHeadroom, 'open')];
  const ofBytes = [left(uploadHeadroom, 'up'), left(downloadHeadroom, 'down')];
  const scarcest = [...fewestFirst(ofConnections), ...fewestFirst(ofBytes)];
  const chosen = scarcest.find(({ amount }) => amount === 0) ?? scarcest[0];
  if (chosen === undefined) return undefined;
  const { amount, unit } = chosen;
  const number = unit === 'new' || unit === 'open' ? String(amount) : formatBytes(amount);
  return { text: `${number} ${unit}`, isUsedUp: amount === 0 };
}

interface Left {
  readonly amount: number;
  /** New connections now, more open connections, bytes from the client, bytes to it. */
  readonly unit: 'new' | 'open' | 'up' | 'down';
}

function left(amount: number | bigint | undefined, unit: Left['unit']): Left | undefined {
  return amount === undefined ? undefined : { amount: Number(amount), unit };
}

function fewestFirst(all: readonly (Left | undefined)[]): readonly Left[] {
  return all.filter((each) => each !== undefined).sort((a, b) => a.amount - b.amount);
}
