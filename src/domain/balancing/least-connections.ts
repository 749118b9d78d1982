import type { Balancer, Candidate, Turn } from './balancer.ts';

interface Ranked<S> {
  readonly server: S;
  readonly index: number;
  readonly active: number;
}

/**
 * The server with the fewest connections, whatever its weight. Among equals the one that comes next in the list after the last
 * one proposed, so that idle servers are taken in turn.
 */
export class LeastConnections<S extends Candidate> implements Balancer<S> {
  readonly #turn: Turn;

  constructor(turn: Turn) {
    this.#turn = turn;
  }

  *candidates(servers: readonly S[]): Generator<S> {
    const start = this.#turn.position < servers.length ? this.#turn.position : 0;
    const first = leastLoaded(servers, start);
    if (first === undefined) return;
    this.#turn.position = first.index + 1;
    yield first.server;
    for (const { server, index } of inOrder(servers, start, first.index)) {
      this.#turn.position = index + 1;
      yield server;
    }
  }

  fork(): LeastConnections<S> {
    return new LeastConnections({ position: this.#turn.position });
  }
}

function leastLoaded<S extends Candidate>(servers: readonly S[], start: number): Ranked<S> | undefined {
  let best: S | undefined;
  let index = 0;
  let fewest = Number.POSITIVE_INFINITY;
  for (let step = 0; step < servers.length; step++) {
    const ahead = start + step;
    const at = ahead < servers.length ? ahead : ahead - servers.length;
    const server = servers[at];
    if (server === undefined || server.weight === 0) continue;
    const active = server.active();
    if (active >= fewest) continue;
    best = server;
    index = at;
    fewest = active;
  }
  return best === undefined ? undefined : { server: best, index, active: fewest };
}

/** All but the one that was refused. Sorting waits until a second candidate is asked for, which most connections never do. */
function inOrder<S extends Candidate>(servers: readonly S[], start: number, refused: number): Ranked<S>[] {
  const rest: Ranked<S>[] = [];
  for (const [index, server] of servers.entries()) {
    if (server.weight > 0 && index !== refused) rest.push({ server, index, active: server.active() });
  }
  const distance = ({ index }: Ranked<S>) => (index - start + servers.length) % servers.length;
  return rest.sort((a, b) => a.active - b.active || distance(a) - distance(b));
}
