import type { Client, Listener } from './model.ts';

/** So many clients are named; the rest are counted. */
const MOST_TOLD = 20;

/**
 * A warning for each client of several groups that no listener leads anywhere: with one group a client needs no route, with more it
 * does, so all its connections are refused.
 */
export function unroutableClients(clients: Iterable<Client>, listeners: readonly Listener[]): readonly string[] {
  const ledTo = new Set(listeners.flatMap(({ targetGroup, routes }) => [targetGroup, ...routes.map((route) => route.targetGroup)]));
  const warnings: string[] = [];
  let more = 0;
  for (const { clientId, allowedTargetGroups: allowed } of clients) {
    if (allowed.length < 2 || allowed.some((group) => ledTo.has(group))) continue;
    if (warnings.length < MOST_TOLD) warnings.push(`client "${clientId}" may reach ${allowed.length} groups, and ${nowhere(listeners)}`);
    else more++;
  }
  return more === 0 ? warnings : [...warnings, `and ${more} more clients like that`];
}

/** What all of such a client's connections come to. */
function nowhere(listeners: readonly Listener[]): string {
  const isNamed = listeners.some(({ targetGroup, routes }) => targetGroup !== undefined || routes.length > 0);
  const reason = isNamed ? 'no_route or not_authorized' : 'no_route';
  return `no listener has a targetGroup or a route that leads to one of them: all its connections are refused (${reason})`;
}
