/** What lies between two states, and whom it touches. Listeners are left out: they change only when the balancer starts. */
import type { Client, Snapshot, TargetGroup } from './model.ts';

/** One thing that differs: a whole entry that came or went, or one field of an entry that stayed. */
export interface Difference {
  readonly kind: 'added' | 'removed' | 'changed';
  /** Such as `targetGroups/web/upstreamServers/127.0.0.1:8081/weight`; durations are in milliseconds and say so. */
  readonly path: string;
  /** As JSON; empty for what was added. */
  readonly before: string;
  /** As JSON; empty for what was removed. */
  readonly after: string;
}

/** A live connection, as far as a change of state may touch it. */
export interface LiveConnection {
  readonly clientId: string;
  /** Of the client's certificate. */
  readonly fingerprint: string;
  readonly group: string;
  readonly server: string;
}

/** A client that can reach a group no longer. */
export interface LostAccess {
  readonly clientId: string;
  /** undefined: the client is removed. */
  readonly targetGroup: string | undefined;
  /** Live connections that this closes. */
  readonly connections: number;
}

export interface BlastRadius {
  /** Live connections to servers that go, of clients that stay: they go on until they end. */
  readonly connectionsDraining: number;
  /** Live connections that are not allowed any more. */
  readonly connectionsClosing: number;
  /** Clients in the order of the state before. */
  readonly lostAccess: readonly LostAccess[];
}

/** Every difference, in the order of the state before, then of what is new. The order of entries is no difference. */
export function diff(before: Snapshot, after: Snapshot): Difference[] {
  return [
    ...differences('targetGroups', before.targetGroups, after.targetGroups, groupFields),
    ...differences('clients', before.clients, after.clients, clientFields),
    ...differences('revokedCertificates', before.revocations, after.revocations, ({ comment, atMs }) => ({ comment, atMs })),
  ];
}

/**
 * Whom the change from one state to the other would touch among the connections that are there now. A client's changed `match`
 * is not judged: that takes its certificate.
 */
export function blastRadius(before: Snapshot, after: Snapshot, live: Iterable<LiveConnection>): BlastRadius {
  const stays = servers(after);
  const closingByAccess = new Map<string, number>();
  let connectionsDraining = 0;
  let connectionsClosing = 0;
  for (const { clientId, fingerprint, group, server } of live) {
    const client = after.clients.get(clientId);
    const isAllowed = client?.allowedTargetGroups.includes(group) === true;
    const isRevoked = after.revocations.has(fingerprint) && !before.revocations.has(fingerprint);
    if (isAllowed && !isRevoked) {
      if (stays.get(group)?.has(server) !== true) connectionsDraining++;
      continue;
    }
    connectionsClosing++;
    if (isAllowed) continue;
    const access = accessKey(clientId, client === undefined ? undefined : group);
    closingByAccess.set(access, (closingByAccess.get(access) ?? 0) + 1);
  }
  const lostAccess = accessLost(before, after).map((lost) => ({
    ...lost,
    connections: closingByAccess.get(accessKey(lost.clientId, lost.targetGroup)) ?? 0,
  }));
  return { connectionsDraining, connectionsClosing, lostAccess };
}

function accessLost(before: Snapshot, after: Snapshot): Pick<LostAccess, 'clientId' | 'targetGroup'>[] {
  const lost: Pick<LostAccess, 'clientId' | 'targetGroup'>[] = [];
  for (const [clientId, client] of before.clients) {
    const still = after.clients.get(clientId);
    if (still === client) continue;
    if (still === undefined) lost.push({ clientId, targetGroup: undefined });
    else {
      const gone = client.allowedTargetGroups.filter((group) => !still.allowedTargetGroups.includes(group));
      lost.push(...gone.map((targetGroup) => ({ clientId, targetGroup })));
    }
  }
  return lost;
}

function servers({ targetGroups }: Snapshot): Map<string, Set<string>> {
  return new Map([...targetGroups].map(([name, group]) => [name, new Set(group.servers.map(({ address }) => address))]));
}

function accessKey(clientId: string, group: string | undefined): string {
  return JSON.stringify([clientId, group]);
}

/** The fields of an entry by name: nested where a part has fields of its own. */
type Fields = { readonly [field: string]: unknown };

function groupFields({ name: _, servers: listed, ...fields }: TargetGroup): Fields {
  return { ...fields, upstreamServers: Object.fromEntries(listed.map(({ address, ...server }) => [address, server])) };
}

function clientFields({ clientId: _, ...fields }: Client): Fields {
  return fields;
}

function* differences<T>(
  path: string,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  fieldsOf: (entry: T) => Fields,
): Generator<Difference> {
  for (const [name, entry] of before) {
    const other = after.get(name);
    if (other === entry) continue;
    yield* between(`${path}/${name}`, fieldsOf(entry), other === undefined ? undefined : fieldsOf(other));
  }
  for (const [name, entry] of after) if (!before.has(name)) yield* between(`${path}/${name}`, undefined, fieldsOf(entry));
}

function* between(path: string, before: unknown, after: unknown): Generator<Difference> {
  if (before === undefined && after === undefined) return;
  if (before === undefined) yield { kind: 'added', path, before: '', after: JSON.stringify(after) };
  else if (after === undefined) yield { kind: 'removed', path, before: JSON.stringify(before), after: '' };
  else if (isFields(before) && isFields(after)) {
    for (const field of new Set([...Object.keys(before), ...Object.keys(after)]))
      yield* between(`${path}/${field}`, before[field], after[field]);
  } else {
    const [was, is] = [JSON.stringify(before), JSON.stringify(after)];
    if (was !== is) yield { kind: 'changed', path, before: was, after: is };
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
