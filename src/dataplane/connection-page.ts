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

/** One page of several answers to the same query. */
export function onePage(answers: readonly ConnectionsInOrder[], { limit }: Pick<ConnectionQuery, 'limit'>): ConnectionsInOrder {
  const all = answers.flatMap(({ connections }) => connections).sort((a, b) => a.number - b.number);
  return { connections: all.slice(0, limit), more: answers.some(({ more }) => more) || all.length > limit };
}
