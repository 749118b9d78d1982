/** The methods that only read. */
import { DomainError } from '../domain/errors.ts';
import type { Snapshot, TargetGroup } from '../domain/model.ts';
import { isRefusal, type Reason } from '../domain/reasons.ts';
import type { AdminServiceServer } from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { targetGroupMessage } from './convert-groups.ts';
import { addressFrom } from './convert-values.ts';
import { pageOf } from './paging.ts';
import {
  clientStatus,
  clientsById,
  count,
  groupsByName,
  listenerMessage,
  listenersByName,
  reasonCounts,
  serverStatus,
  serversOf,
  sumOf,
} from './replies.ts';
import { unary } from './rpc.ts';

type Reads = Pick<
  AdminServiceServer,
  | 'getState'
  | 'listTargetGroups'
  | 'listUpstreamServers'
  | 'listClients'
  | 'getActiveConnections'
  | 'getDroppedRequests'
  | 'getFailedConnections'
  | 'getLogLevel'
>;

export function readMethods(context: AdminContext): Reads {
  const { authority, stats, log } = context;
  return {
    getState: unary(log, () => {
      const { snapshot } = authority;
      const groups = groupsByName(snapshot);
      return {
        revision: BigInt(snapshot.revision),
        targetGroups: groups.map(targetGroupMessage),
        servers: [...serversOf(groups)].map(({ group, server }) => serverStatus(context, group, server)),
        clients: clientsById(snapshot).map((client) => clientStatus(context, client)),
        listeners: listenersByName(context.listeners()).map(listenerMessage),
        workers: context.workers,
        version: context.version,
        startedAt: new Date(context.startedAtMs),
      };
    }),

    listTargetGroups: unary(log, () => {
      const { snapshot } = authority;
      return { targetGroups: groupsByName(snapshot).map(targetGroupMessage), revision: BigInt(snapshot.revision) };
    }),

    listUpstreamServers: unary(log, ({ targetGroup, ...wanted }) => {
      const { snapshot } = authority;
      const servers = [...serversOf(groupsMeant(snapshot, targetGroup))];
      // Blanks are in no name, and before everything that is: keys are in the order of the list.
      const page = pageOf('servers', servers, ({ group, server }) => `${group} ${server.address}`, wanted);
      return {
        servers: page.items.map(({ group, server }) => serverStatus(context, group, server)),
        revision: BigInt(snapshot.revision),
        nextPageToken: page.nextPageToken,
      };
    }),

    listClients: unary(log, (wanted) => {
      const { snapshot } = authority;
      const page = pageOf('clients', clientsById(snapshot), ({ clientId }) => clientId, wanted);
      return {
        clients: page.items.map((client) => clientStatus(context, client)),
        revision: BigInt(snapshot.revision),
        nextPageToken: page.nextPageToken,
      };
    }),

    getActiveConnections: unary(log, ({ targetGroup }) => {
      const active = [...serversOf(groupsMeant(authority.snapshot, targetGroup))].map(({ group, server: { address } }) => ({
        targetGroup: group,
        server: address,
        count: count(stats.server(group, address).active),
      }));
      return { total: active.reduce((sum, server) => sum + server.count, 0n), servers: active };
    }),

    getDroppedRequests: unary(log, ({ clientId }) => {
      if (clientId !== '' && !authority.snapshot.clients.has(clientId)) {
        throw new DomainError('not_found', 'clientId', `there is no client "${clientId}"`);
      }
      const refused: ReadonlyMap<Reason, number> =
        clientId === '' ? new Map([...stats.totals().byReason].filter(([reason]) => isRefusal(reason))) : stats.client(clientId).refused;
      return { total: sumOf(refused), byReason: reasonCounts(refused) };
    }),

    getFailedConnections: unary(log, ({ server }) => {
      const wanted = server === '' ? undefined : addressFrom(server, 'server');
      const servers = [...serversOf(groupsByName(authority.snapshot))].filter(
        ({ server: { address } }) => wanted === undefined || address === wanted,
      );
      if (wanted !== undefined && servers.length === 0)
        throw new DomainError('not_found', 'server', `no target group has the server ${wanted}`);
      const failed = servers.map(({ group, server: { address } }) => ({
        targetGroup: group,
        server: address,
        count: count(stats.server(group, address).failed),
      }));
      return { total: failed.reduce((sum, each) => sum + each.count, 0n), servers: failed };
    }),

    getLogLevel: unary(log, () => ({ level: context.logLevel.get() })),
  };
}

/** The group of this name, or every group when the name is empty. @throws DomainError `not_found` */
function groupsMeant(snapshot: Snapshot, name: string): readonly TargetGroup[] {
  if (name === '') return groupsByName(snapshot);
  const group = snapshot.targetGroups.get(name);
  if (group === undefined) throw new DomainError('not_found', 'targetGroup', `there is no target group "${name}"`);
  return [group];
}

/** @throws DomainError `not_found` when the group, or the server in it (in any group when none is named), is not there; empty means all */
export function refuseUnknownServer(snapshot: Snapshot, targetGroup: string, server: string): void {
  const groups = groupsMeant(snapshot, targetGroup);
  if (server !== '' && !groups.some(({ servers }) => servers.some(({ address }) => address === server)))
    throw new DomainError(
      'not_found',
      'server',
      `there is no server "${server}"${targetGroup === '' ? '' : ` in target group "${targetGroup}"`}`,
    );
}
