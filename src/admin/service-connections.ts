/** The methods about live connections one by one; WatchConnections has a file of its own. */
import type { ConnectionFacts, ConnectionSelector } from '../controlplane/connection-list.ts';
import { DomainError } from '../domain/errors.ts';
import type { Snapshot } from '../domain/model.ts';
import { REASONS } from '../domain/reasons.ts';
import { type AdminServiceServer, type Connection, type ConnectionFilter, Wait_Kind } from '../gen/lb/admin/v1/admin.ts';
import type { Changes } from './changes.ts';
import type { AdminContext } from './context.ts';
import { addressFrom } from './convert-values.ts';
import { count, endedMessage } from './replies.ts';
import { unary } from './rpc.ts';
import { refuseUnknownServer } from './service-reads.ts';

type ConnectionMethods = Pick<AdminServiceServer, 'listConnections' | 'closeConnections'>;

const MAX_PAGE = 1000;

export function connectionMethods({ authority, connections, workers, log }: AdminContext, changes: Changes): ConnectionMethods {
  return {
    listConnections: unary(log, async ({ filter, pageSize, pageToken }) => {
      const limit = pageSize === 0 ? MAX_PAGE : Math.min(pageSize, MAX_PAGE);
      const selector = liveSelectorFrom(filter);
      const listed = await connections.list(selector, cursorFrom(pageToken, workers), limit);
      if (listed.connections.length === 0 && pageToken === '') refuseUnknown(selector, authority.snapshot);
      return {
        connections: listed.connections.map(connectionMessage),
        nextPageToken: listed.next === undefined ? '' : tokenOf(listed.next),
      };
    }),

    closeConnections: unary(log, async ({ filter }, caller) => {
      const { ended } = await changes.recorded('CloseConnections', caller, async () => {
        const selector = liveSelectorFrom(filter);
        if (Object.keys(selector).length === 0) {
          throw new DomainError('invalid', 'filter', 'at least one field of the filter must be set: this would close every connection');
        }
        const ended = await connections.close(selector, 'killed_by_admin');
        if (ended.served + ended.waiting === 0) refuseUnknown(selector, authority.snapshot);
        return { ended, replayed: false };
      });
      return endedMessage(ended);
    }),
  };
}

/** Which connections a filter means, its reason aside. @throws DomainError `invalid` */
export function selectorFrom(filter: ConnectionFilter | undefined): ConnectionSelector {
  const { connectionId = '', clientId = '', targetGroup = '', server = '' } = filter ?? {};
  return {
    ...(connectionId === '' ? {} : { id: connectionId }),
    ...(clientId === '' ? {} : { clientId }),
    ...(targetGroup === '' ? {} : { group: targetGroup }),
    ...(server === '' ? {} : { server: addressFrom(server, 'filter.server') }),
  };
}

function liveSelectorFrom(filter: ConnectionFilter | undefined): ConnectionSelector {
  if (filter !== undefined && filter.reason !== '')
    throw new DomainError('invalid', 'filter.reason', 'a connection has a reason when it has ended; only WatchConnections tells of those');
  return selectorFrom(filter);
}

/**
 * For a filter that no connection fits: a name that is not there is a mistake. What was removed may have connections for a while.
 * @throws DomainError `not_found`
 */
function refuseUnknown({ clientId = '', group = '', server = '' }: ConnectionSelector, snapshot: Snapshot): void {
  refuseUnknownServer(snapshot, group, server);
  if (clientId !== '' && !snapshot.clients.has(clientId))
    throw new DomainError('not_found', 'filter.clientId', `there is no client "${clientId}"`);
}

/** @throws DomainError `invalid` */
export function reasonFrom(text: string): (typeof REASONS)[number] | undefined {
  if (text === '') return undefined;
  const reason = REASONS.find((each) => each === text);
  if (reason === undefined)
    throw new DomainError('invalid', 'filter.reason', `"${text}" is no reason; expected one of ${REASONS.join(', ')}`);
  return reason;
}

export function connectionMessage(facts: ConnectionFacts): Connection {
  return {
    id: facts.id,
    listener: facts.listener,
    remote: facts.remote,
    clientId: facts.clientId,
    identity: facts.identity,
    targetGroup: facts.group,
    server: facts.server,
    openedAt: facts.openedAtMs === undefined ? undefined : new Date(facts.openedAtMs),
    bytesFromClient: count(facts.bytesFromClient),
    bytesToClient: count(facts.bytesToClient),
    via: facts.via,
    waiting: facts.waiting && { kind: WAIT_KIND[facts.waiting.kind], since: new Date(facts.waiting.sinceMs) },
  };
}

const WAIT_KIND = { delayed: Wait_Kind.DELAYED, queued: Wait_Kind.QUEUED, connecting: Wait_Kind.CONNECTING } as const;

/** A page token is the last number of each worker. */
function tokenOf(numbers: readonly number[]): string {
  return Buffer.from(numbers.join(',')).toString('base64url');
}

function cursorFrom(token: string, workers: number): readonly number[] {
  if (token === '') return [];
  const text = Buffer.from(token, 'base64url').toString();
  const numbers = text.split(',').map(Number);
  if (!/^\d{1,15}(?:,\d{1,15})*$/.test(text) || numbers.length !== workers)
    throw new DomainError('invalid', 'pageToken', 'this page token is not one that ListConnections gave; begin with an empty one');
  return numbers;
}
