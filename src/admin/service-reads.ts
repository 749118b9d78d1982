/** The methods that only read. */
import { setImmediate } from 'node:timers/promises';
import { DomainError } from '../domain/errors.ts';
import type { Snapshot, TargetGroup, UpstreamServer } from '../domain/model.ts';
import { isRefusal, type Reason } from '../domain/reasons.ts';
import type * as proto from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { targetGroupMessage } from './convert-groups.ts';
import { addressFrom } from './convert-values.ts';
import { clientsById, groupsByName, serverOrder, serversOf } from './ordered.ts';
import { type PageWanted, pageOf } from './paging.ts';
import { clientStatus, count, fits, groupStatus, listenerMessage, listenersByName, reasonCounts, serverStatus, sumOf } from './replies.ts';
import { unary } from './rpc.ts';

type Reads = Pick<
  proto.AdminServiceServer,
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
    getState: unary(log, async () => {
      const { snapshot } = authority;
      const listeners = listenersByName(context.listeners()).map(listenerMessage);
      // In between, others have their turn.
      const groups = groupPage(snapshot, FIRST_PAGE);
      await setImmediate();
      const servers = serverPage(context, groupsByName(snapshot), FIRST_PAGE);
      await setImmediate();
      const clients = clientPage(context, snapshot, FIRST_PAGE);
      return {
        revision: BigInt(snapshot.revision),
        targetGroups: groups.items,
        servers: servers.items,
        clients: clients.items,
        listeners,
        workers: context.workers,
        version: context.version,
        startedAt: new Date(context.startedAtMs),
        targetGroupCount: snapshot.targetGroups.size,
        serverCount: snapshot.targetGroups.values().reduce((sum, group) => sum + group.servers.length, 0),
        clientCount: snapshot.clients.size,
        targetGroupsNextPageToken: groups.nextPageToken,
        serversNextPageToken: servers.nextPageToken,
        clientsNextPageToken: clients.nextPageToken,
      };
    }),

    listTargetGroups: unary(log, (wanted) => {
      const { snapshot } = authority;
      const { items, nextPageToken } = groupPage(snapshot, wanted);
      const statuses = items.map(({ name }) => groupStatus(context, name));
      return { targetGroups: items, revision: BigInt(snapshot.revision), nextPageToken, statuses };
    }),

    listUpstreamServers: unary(log, ({ targetGroup, ...wanted }) => {
      const { snapshot } = authority;
      const { items, nextPageToken } = serverPage(context, groupsMeant(snapshot, targetGroup), wanted);
      return { servers: items, revision: BigInt(snapshot.revision), nextPageToken };
    }),

    listClients: unary(log, (wanted) => {
      const { snapshot } = authority;
      const { items, nextPageToken } = clientPage(context, snapshot, wanted);
      return { clients: items, revision: BigInt(snapshot.revision), nextPageToken };
    }),

    getActiveConnections: unary(log, ({ targetGroup, ...wanted }) => {
      const groups = groupsMeant(authority.snapshot, targetGroup);
      return serverCounts(groups, '', wanted, (group, address) => stats.activeOn(group, address));
    }),

    getDroppedRequests: unary(log, ({ clientId }) => {
      if (clientId !== '' && !authority.snapshot.clients.has(clientId)) {
        throw new DomainError('not_found', 'clientId', `there is no client "${clientId}"`);
      }
      const refused: ReadonlyMap<Reason, number> =
        clientId === '' ? new Map([...stats.totals().byReason].filter(([reason]) => isRefusal(reason))) : stats.client(clientId).refused;
      return { total: sumOf(refused), byReason: reasonCounts(refused) };
    }),

    getFailedConnections: unary(log, ({ server, ...page }) => {
      const wanted = server === '' ? undefined : addressFrom(server, 'server');
      const groups = groupsByName(authority.snapshot);
      if (wanted !== undefined && !groups.some(({ servers }) => servers.some(({ address }) => address === wanted)))
        throw new DomainError('not_found', 'server', `no target group has the server ${wanted}`);
      return serverCounts(groups, wanted ?? '', page, (group, address) => stats.server(group, address).failed);
    }),

    getLogLevel: unary(log, () => ({ level: context.logLevel.get() })),
  };
}

/** After so many, others have their turn. */
const READ_AT_ONCE = 1_000;

const FIRST_PAGE: PageWanted = { pageSize: 0, pageToken: '' };

/** Of groups with many servers fewer come in a page: there are no more servers in it than in a page of servers, or one group. */
function groupPage(snapshot: Snapshot, wanted: PageWanted) {
  const page = pageOf(
    'groups',
    (after) => groupsByName(snapshot, after),
    ({ name }) => name,
    wanted,
    ({ servers }) => servers.length,
  );
  return { ...page, items: page.items.map(targetGroupMessage) };
}

function serverPage(context: AdminContext, groups: readonly TargetGroup[], wanted: PageWanted) {
  const page = pageOf('servers', (after) => serversOf(groups, after), serverOrder, wanted);
  return { ...page, items: page.items.map(({ group, server }) => serverStatus(context, group, server)) };
}

function clientPage(context: AdminContext, snapshot: Snapshot, wanted: PageWanted) {
  const page = pageOf(
    'clients',
    (after) => clientsById(snapshot, after),
    ({ clientId }) => clientId,
    wanted,
  );
  return { ...page, items: page.items.map((client) => clientStatus(context, client)) };
}

/** One page of a count of each server, and the sum over all pages; an empty `server` means every one. */
async function serverCounts(
  groups: readonly TargetGroup[],
  server: string,
  wanted: PageWanted,
  read: (group: string, address: string) => number,
): Promise<proto.GetActiveConnectionsResponse> {
  const meant = ({ address }: UpstreamServer) => fits(server, address);
  let total = 0n;
  let seen = 0;
  for (const { name, servers } of groups) {
    for (const each of servers) {
      if (++seen % READ_AT_ONCE === 0) await setImmediate();
      if (meant(each)) total += count(read(name, each.address));
    }
  }
  const after = (key?: string) => serversOf(groups, key).filter((each) => meant(each.server));
  const { items, nextPageToken } = pageOf('counts', after, serverOrder, wanted);
  const servers = items.map(({ group, server: { address } }) => ({
    targetGroup: group,
    server: address,
    count: count(read(group, address)),
  }));
  return { total, servers, nextPageToken };
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
