/** The state in the order of its names. What is in order once is kept as long as the state it was made from. */
import type { Client, Snapshot, TargetGroup, UpstreamServer } from '../domain/model.ts';

/** A server and the name of its group. */
export interface ServerOfGroup {
  readonly group: string;
  readonly server: UpstreamServer;
}

const groupsIn = keptInOrder((groups: Snapshot['targetGroups']) => groups.values(), nameOf);
const clientsIn = keptInOrder((clients: Snapshot['clients']) => clients.values(), clientIdOf);
const serversIn = keptInOrder((servers: TargetGroup['servers']) => servers, addressOf);

/** Groups in the order of their names: all, or those after a name. */
export function groupsByName({ targetGroups }: Snapshot, after?: string): readonly TargetGroup[] {
  return since(groupsIn(targetGroups), nameOf, after);
}

/** Clients in the order of their ids: all, or those after an id. */
export function clientsById({ clients }: Snapshot, after?: string): readonly Client[] {
  return since(clientsIn(clients), clientIdOf, after);
}

/** The servers of these groups, which are in order, by group and address: all, or those after a {@link serverOrder}. */
export function* serversOf(groups: readonly TargetGroup[], after?: string): Generator<ServerOfGroup, void, undefined> {
  const [afterGroup = '', afterAddress] = after?.split(' ', 2) ?? [];
  for (const { name, servers } of groups) {
    if (name < afterGroup) continue;
    for (const server of since(serversIn(servers), addressOf, name === afterGroup ? afterAddress : undefined))
      yield { group: name, server };
  }
}

/** What the order of servers is by. Blanks are in no name, and before everything that is. */
export function serverOrder({ group, server: { address } }: ServerOfGroup): string {
  return `${group} ${address}`;
}

/** For sort: in the order of what `key` gives. */
export function inOrderOf<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}

function keptInOrder<Source extends object, T>(
  items: (source: Source) => Iterable<T>,
  key: (item: T) => string,
): (source: Source) => readonly T[] {
  const kept = new WeakMap<Source, readonly T[]>();
  return (source) => {
    const known = kept.get(source);
    if (known !== undefined) return known;
    const ordered = [...items(source)].sort(inOrderOf(key));
    kept.set(source, ordered);
    return ordered;
  };
}

function nameOf({ name }: TargetGroup): string {
  return name;
}

function clientIdOf({ clientId }: Client): string {
  return clientId;
}

function addressOf({ address }: UpstreamServer): string {
  return address;
}

/** Binary search: a page costs the same wherever it begins. */
function since<T>(items: readonly T[], key: (item: T) => string, after: string | undefined): readonly T[] {
  if (after === undefined) return items;
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && key(item) <= after) low = middle + 1;
    else high = middle;
  }
  return items.slice(low);
}
