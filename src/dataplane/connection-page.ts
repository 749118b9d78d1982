import { type ConnectionFacts, type ConnectionPage, type ConnectionQuery, type Selectable, selects } from '../shared/messages.ts';

interface Listed extends Selectable {
  readonly number: number;
  facts(): ConnectionFacts;
}

export type ConnectionsInOrder = Pick<ConnectionPage, 'connections' | 'more'>;

/** The part that a query asks for of connections that are in the order of their numbers. */
export function pageOf(listed: Iterable<Listed>, { selector, after, upTo, limit }: ConnectionQuery): ConnectionsInOrder {
  const connections: ConnectionFacts[] = [];
  for (const connection of listed) {
    if (connection.number <= after) continue;
    if (connection.number > upTo) break;
    if (!selects(selector, connection)) continue;
    if (connections.length === limit) return { connections, more: true };
    connections.push(connection.facts());
  }
  return { connections, more: false };
}

/** One page of two answers to the same query. */
export function onePage(one: ConnectionsInOrder, other: ConnectionsInOrder, { limit }: Pick<ConnectionQuery, 'limit'>): ConnectionsInOrder {
  const all = [...one.connections, ...other.connections].sort((a, b) => a.number - b.number);
  return { connections: all.slice(0, limit), more: one.more || other.more || all.length > limit };
}
