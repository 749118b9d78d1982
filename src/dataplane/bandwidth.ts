import type { Limits } from '../domain/model.ts';
import { bytesPerSecondOf, DIRECTIONS, type Direction } from '../domain/ratelimit/byte-line.ts';
import type { Pace } from './flow.ts';
import type { Bound, Pacer } from './pacer.ts';
import type { ClientView, View } from './view.ts';

interface Known {
  readonly revision: number;
  readonly limits: Limits;
  readonly bound: ReturnType<Bound>;
}

/** Connections of a client that came by the same state share one. */
const paces = new WeakMap<ClientView, Pace>();

/** How fast the bytes of a connection may go: as its client's limits say at each chunk. A client that was removed keeps its last. */
export function paceOf(client: ClientView, view: () => View, pacer: Pacer): Pace {
  const known = paces.get(client);
  if (known !== undefined) return known;
  const pace = newPace(client, view, pacer);
  paces.set(client, pace);
  return pace;
}

function newPace({ client: { clientId, limits }, slot }: ClientView, view: () => View, pacer: Pacer): Pace {
  const bounds = { upload: boundOf('upload'), download: boundOf('download') };
  return (direction, bytes, pass) => pacer.pace(slot, direction, bounds[direction], bytes, pass);

  function boundOf(direction: Direction): Bound {
    let known: Known = { revision: -1, limits, bound: undefined };
    return () => {
      // Its revision is kept and not the View, which would stay in memory with the connection.
      const { revision, clients } = view().snapshot;
      if (revision !== known.revision) {
        const limits = clients.get(clientId)?.limits ?? known.limits;
        const bytesPerSecond = bytesPerSecondOf(limits.bandwidth, direction);
        const bound = bytesPerSecond === undefined ? undefined : { rule: { revision, bytesPerSecond }, shadow: limits.shadow };
        known = { revision, limits, bound };
      }
      return known.bound;
    };
  }
}

/** What a connection of the client would find of its bandwidth now, in words; undefined: it has none. */
export function peekBandwidth({ client: { limits }, slot }: ClientView, pacer: Pacer): string | undefined {
  const found = DIRECTIONS.flatMap((direction) => {
    const bytesPerSecond = bytesPerSecondOf(limits.bandwidth, direction);
    if (bytesPerSecond === undefined) return [];
    const left = pacer.headroom(slot, direction, { revision: Number.POSITIVE_INFINITY, bytesPerSecond });
    const would = limits.shadow ? 'it would wait (shadow)' : 'it waits its turn';
    return [`${direction} ${bytesPerSecond} bytes/s, ${left === 0 ? `all in use: ${would}` : `${left} bytes pass at once`}`];
  });
  return found.length === 0 ? undefined : found.join('; ');
}
