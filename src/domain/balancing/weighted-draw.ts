import type { Candidate } from './balancer.ts';

/** One server, each with a chance in proportion to its weight, other than `except`; undefined when none has a weight. */
export function drawOne<S extends Candidate>(servers: readonly S[], random: () => number, except?: S): S | undefined {
  let total = 0;
  for (const server of servers) if (server !== except) total += server.weight;
  let left = random() * total;
  let drawn: S | undefined;
  for (const server of servers) {
    if (server.weight === 0 || server === except) continue;
    drawn = server;
    left -= server.weight;
    if (left < 0) break;
  }
  return drawn;
}

/**
 * All servers of positive weight but `except`, in the order of one draw after the other without putting back: sorted by exponential times
 * with the weights as rates (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
 */
export function drawAll<S extends Candidate>(servers: readonly S[], random: () => number, except: ReadonlySet<S>): S[] {
  return servers
    .filter((server) => server.weight > 0 && !except.has(server))
    .map((server) => ({ server, time: -Math.log1p(-random()) / server.weight }))
    .sort((a, b) => a.time - b.time)
    .map(({ server }) => server);
}
