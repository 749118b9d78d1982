/**
 * The one way state changes: a Command applied to a Snapshot gives the next Snapshot, or throws a DomainError having
 * changed nothing. Main thread and workers run the same function, so they hold the same state at the same revision.
 */
import { checkClientValues, checkGroupValues, checkRevocation, checkServer, printable } from './checks.ts';
import { DomainError } from './errors.ts';
import type { Client, Listener, Revision, Revocation, Snapshot, TargetGroup, UpstreamServer } from './model.ts';

export type Command =
  /** Takes the bootstrap file in: everything at once. */
  | {
      readonly kind: 'replaceAll';
      readonly listeners: readonly Listener[];
      readonly targetGroups: readonly TargetGroup[];
      readonly clients: readonly Client[];
      /** Added to those there are: no configuration takes a revocation back. */
      readonly revocations: readonly Revocation[];
    }
  /**
   * Takes a configuration or an earlier state in by what differs from it, at once: entries are put in the place of those with
   * their names, or beside them, or removed. All others stay.
   */
  | {
      readonly kind: 'replaceSome';
      /** All that there are to be; undefined: they stay. */
      readonly listeners: readonly Listener[] | undefined;
      readonly targetGroups: Replacement<TargetGroup>;
      readonly clients: Replacement<Client>;
      /** As with replaceAll. */
      readonly revocations: readonly Revocation[];
      /** How much there is in all once it is taken in, for people. */
      readonly makes: { readonly targetGroups: number; readonly servers: number; readonly clients: number };
      /** The revision that is wanted back; undefined: it is a configuration. For people. */
      readonly backTo?: Revision | undefined;
    }
  /** At its start lbd takes the listeners of its file; the rest comes from the store. */
  | { readonly kind: 'setListeners'; readonly listeners: readonly Listener[] }
  | { readonly kind: 'addTargetGroup'; readonly group: TargetGroup }
  | { readonly kind: 'removeTargetGroup'; readonly name: string }
  /** How the group balances and checks becomes that of `group`; its servers stay. */
  | { readonly kind: 'updateTargetGroup'; readonly group: TargetGroup }
  | { readonly kind: 'addUpstreamServer'; readonly group: string; readonly server: UpstreamServer }
  | { readonly kind: 'removeUpstreamServer'; readonly group: string; readonly address: string }
  | { readonly kind: 'setUpstreamServer'; readonly group: string; readonly server: UpstreamServer }
  | { readonly kind: 'addClient'; readonly client: Client }
  | { readonly kind: 'updateClient'; readonly client: Client }
  | { readonly kind: 'removeClient'; readonly clientId: string }
  | { readonly kind: 'revokeCertificate'; readonly revocation: Revocation };

/** What becomes of some entries of one kind. */
export interface Replacement<T> {
  readonly put: readonly T[];
  /** Names of entries that are there. */
  readonly removed: readonly string[];
}

/**
 * The state after `command`, one revision on.
 * @throws DomainError when the command does not fit the state; `snapshot` is as it was.
 */
export function apply(snapshot: Snapshot, command: Command): Snapshot {
  const next = { ...change(snapshot, command), revision: snapshot.revision + 1 };
  return next;
}

function change(snapshot: Snapshot, command: Command): Snapshot {
  switch (command.kind) {
    case 'replaceAll': {
      const next: Snapshot = {
        ...snapshot,
        listeners: command.listeners,
        targetGroups: uniqueBy(command.targetGroups, (group) => group.name, 'targetGroups'),
        clients: uniqueBy(command.clients, (client) => client.clientId, 'clients'),
        revocations: withRevocations(snapshot, command.revocations),
      };
      for (const revocation of command.revocations) checkRevocation(revocation);
      for (const group of command.targetGroups) checkGroup(group);
      for (const client of command.clients) checkClient(next, client);
      checkListeners(next);
      return next;
    }
    case 'replaceSome': {
      const { listeners = snapshot.listeners, targetGroups, clients, revocations } = command;
      const next: Snapshot = {
        ...snapshot,
        listeners,
        targetGroups: replaced(snapshot.targetGroups, targetGroups, (group) => group.name, 'targetGroups'),
        clients: replaced(snapshot.clients, clients, (client) => client.clientId, 'clients'),
        revocations: withRevocations(snapshot, revocations),
      };
      for (const revocation of revocations) checkRevocation(revocation);
      for (const group of targetGroups.put) checkGroup(group);
      for (const client of clients.put) checkClientValues(client);
      // Of those that stay, too: a group may be removed that they are allowed.
      for (const client of next.clients.values()) checkAllowedGroups(next, client);
      checkListeners(next);
      return next;
    }
    case 'setListeners': {
      const next = { ...snapshot, listeners: command.listeners };
      checkListeners(next);
      return next;
    }
    case 'addTargetGroup': {
      const { group } = command;
      if (snapshot.targetGroups.has(group.name))
        throw new DomainError('already_exists', 'name', `target group "${group.name}" exists already`);
      checkGroup(group);
      return { ...snapshot, targetGroups: new Map(snapshot.targetGroups).set(group.name, group) };
    }
    case 'removeTargetGroup': {
      existingGroup(snapshot, command.name, 'name');
      refuseIfReferenced(snapshot, command.name);
      const targetGroups = new Map(snapshot.targetGroups);
      targetGroups.delete(command.name);
      return { ...snapshot, targetGroups };
    }
    case 'updateTargetGroup': {
      const { servers } = existingGroup(snapshot, command.group.name, 'name');
      const group = { ...command.group, servers };
      checkGroup(group);
      return withGroup(snapshot, group);
    }
    case 'addUpstreamServer': {
      const group = existingGroup(snapshot, command.group, 'targetGroup');
      checkServer(command.server, 'server');
      if (group.servers.some((server) => server.address === command.server.address)) {
        throw new DomainError('already_exists', 'server', `${command.server.address} is in target group "${group.name}" already`);
      }
      return withGroup(snapshot, { ...group, servers: [...group.servers, command.server] });
    }
    case 'removeUpstreamServer': {
      const group = existingGroup(snapshot, command.group, 'targetGroup');
      const servers = group.servers.filter((server) => server.address !== command.address);
      if (servers.length === group.servers.length) throw noServer(command.address, group);
      return withGroup(snapshot, { ...group, servers });
    }
    case 'setUpstreamServer': {
      const group = existingGroup(snapshot, command.group, 'targetGroup');
      checkServer(command.server, 'server');
      const { address } = command.server;
      if (!group.servers.some((server) => server.address === address)) throw noServer(address, group);
      return withGroup(snapshot, {
        ...group,
        servers: group.servers.map((server) => (server.address === address ? command.server : server)),
      });
    }
    case 'addClient': {
      const { client } = command;
      if (snapshot.clients.has(client.clientId))
        throw new DomainError('already_exists', 'clientId', `client "${client.clientId}" exists already`);
      checkClient(snapshot, client);
      return { ...snapshot, clients: new Map(snapshot.clients).set(client.clientId, client) };
    }
    case 'updateClient': {
      const { client } = command;
      existingClient(snapshot, client.clientId);
      checkClient(snapshot, client);
      return { ...snapshot, clients: new Map(snapshot.clients).set(client.clientId, client) };
    }
    case 'removeClient': {
      existingClient(snapshot, command.clientId);
      const clients = new Map(snapshot.clients);
      clients.delete(command.clientId);
      return { ...snapshot, clients };
    }
    case 'revokeCertificate': {
      const { revocation } = command;
      checkRevocation(revocation);
      const earlier = snapshot.revocations.get(revocation.fingerprint);
      if (earlier !== undefined) {
        const since = new Date(earlier.atMs).toISOString();
        throw new DomainError('already_exists', 'fingerprint', `certificate ${earlier.fingerprint} is revoked already, since ${since}`);
      }
      return { ...snapshot, revocations: new Map(snapshot.revocations).set(revocation.fingerprint, revocation) };
    }
  }
}

/** Every fact that holds in each reachable state. Tests call it after every command. @throws Error naming the broken one. */
export function assertInvariants(snapshot: Snapshot): void {
  for (const [name, group] of snapshot.targetGroups) {
    if (group.name !== name) throw new Error(`group ${group.name} is filed under ${name}`);
    checkGroup(group);
  }
  for (const [clientId, client] of snapshot.clients) {
    if (client.clientId !== clientId) throw new Error(`client ${client.clientId} is filed under ${clientId}`);
    checkClient(snapshot, client);
  }
  for (const [fingerprint, revocation] of snapshot.revocations) {
    if (revocation.fingerprint !== fingerprint)
      throw new Error(`the revocation of ${revocation.fingerprint} is filed under ${fingerprint}`);
    checkRevocation(revocation);
  }
  checkListeners(snapshot);
}

function withGroup(snapshot: Snapshot, group: TargetGroup): Snapshot {
  return { ...snapshot, targetGroups: new Map(snapshot.targetGroups).set(group.name, group) };
}

/** Those that are there already stay as they are. */
function withRevocations({ revocations }: Snapshot, added: readonly Revocation[]): ReadonlyMap<string, Revocation> {
  if (added.length === 0) return revocations;
  return new Map([...added.map((each) => [each.fingerprint, each] as const), ...revocations]);
}

function replaced<T>(
  present: ReadonlyMap<string, T>,
  { put, removed }: Replacement<T>,
  nameOf: (entry: T) => string,
  field: string,
): ReadonlyMap<string, T> {
  if (put.length === 0 && removed.length === 0) return present;
  const next = new Map(present);
  for (const name of removed) {
    if (!next.delete(name)) throw new DomainError('not_found', field, `there is no "${printable(name)}" to remove`);
  }
  for (const [name, entry] of uniqueBy(put, nameOf, field)) next.set(name, entry);
  return next;
}

function noServer(address: string, group: TargetGroup): DomainError {
  return new DomainError('not_found', 'server', `${printable(address)} is not in target group "${group.name}"`);
}

function existingClient(snapshot: Snapshot, clientId: string): void {
  if (!snapshot.clients.has(clientId)) throw new DomainError('not_found', 'clientId', `there is no client "${printable(clientId)}"`);
}

function existingGroup(snapshot: Snapshot, name: string, field: string): TargetGroup {
  const group = snapshot.targetGroups.get(name);
  if (group === undefined) {
    const names = [...snapshot.targetGroups.keys()];
    const known = names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ') || 'none';
    throw new DomainError('not_found', field, `there is no target group "${printable(name)}"; there are: ${known}`);
  }
  return group;
}

function refuseIfReferenced(snapshot: Snapshot, name: string): void {
  for (const client of snapshot.clients.values()) {
    if (client.allowedTargetGroups.includes(name)) {
      throw new DomainError(
        'in_use',
        'name',
        `target group "${name}" is allowed to client "${client.clientId}"; remove the client or its permission first`,
      );
    }
  }
  for (const listener of snapshot.listeners) {
    if (groupsOf(listener).includes(name)) {
      throw new DomainError('in_use', 'name', `target group "${name}" is routed to by listener "${listener.name}"`);
    }
  }
}

function groupsOf(listener: Listener): string[] {
  const routed = listener.routes.map((route) => route.targetGroup);
  return listener.targetGroup === undefined ? routed : [listener.targetGroup, ...routed];
}

function checkListeners(snapshot: Snapshot): void {
  uniqueBy(snapshot.listeners, (listener) => listener.name, 'listeners');
  for (const listener of snapshot.listeners) {
    for (const name of groupsOf(listener)) existingGroup(snapshot, name, `listeners.${listener.name}.targetGroup`);
  }
}

function checkGroup(group: TargetGroup): void {
  checkGroupValues(group);
  uniqueBy(group.servers, (server) => server.address, 'servers');
}

function checkClient(snapshot: Snapshot, client: Client): void {
  checkClientValues(client);
  checkAllowedGroups(snapshot, client);
}

function checkAllowedGroups(snapshot: Snapshot, client: Client): void {
  for (const name of client.allowedTargetGroups) existingGroup(snapshot, name, 'allowedTargetGroups');
}

function uniqueBy<T>(items: readonly T[], key: (item: T) => string, field: string): Map<string, T> {
  const seen = new Map<string, T>();
  for (const item of items) {
    if (seen.has(key(item))) throw new DomainError('already_exists', field, `"${printable(key(item))}" is listed twice`);
    seen.set(key(item), item);
  }
  return seen;
}
