/** The life of one connection, from accept to close. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { displayName, type Identity, type Peer } from '../domain/identity.ts';
import { formatAddress, type Timeouts } from '../domain/model.ts';
import { type CloseReason, isRefusal, type Reason } from '../domain/reasons.ts';
import type { AddressPlace, AddressTable } from '../shared/memory/address-table.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { type ConnectionFacts, connectionId, type FailingServer } from '../shared/messages.ts';
import type { HostAddresses } from '../shared/upstream-addresses.ts';
import { enterAddress } from './address-guard.ts';
import type { Admission, Place } from './admission.ts';
import { paceOf } from './bandwidth.ts';
import { type CertificateTrust, presentedChain } from './certificate-trust.ts';
import { dialWith } from './dial.ts';
import type { EventFeed } from './event-feed.ts';
import { countingFailures } from './failure-runs.ts';
import { clientOf, groupNamed, identityIn, listenerNamed, refuseIfRevoked, routeOf } from './gates.ts';
import { endAndLinger } from './linger.ts';
import type { LiveConnection, LiveConnections } from './live-connections.ts';
import type { Openings, Presented } from './openings.ts';
import type { Pacer } from './pacer.ts';
import type { Front } from './plain-front.ts';
import { Refusal } from './refusal.ts';
import { reset } from './reset.ts';
import { type HeaderBounds, type Source, sourceOf } from './source.ts';
import { Splice } from './splice.ts';
import { type Ground, withdrawn } from './standing.ts';
import { connectUpstream, type Dial, type Reservation, type Upstream } from './upstream.ts';
import type { ClientView, View } from './view.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** What a connection finds in its worker. */
export interface ConnectionContext {
  /** The state of now; it is another object after each change. */
  readonly view: () => View;
  readonly lane: LaneWriter;
  readonly admission: Admission;
  readonly waitingRoom: WaitingRoom;
  readonly pacer: Pacer;
  readonly openings: Openings;
  readonly hosts: HostAddresses;
  readonly tellFailing: (server: FailingServer) => void;
  readonly timeouts: Timeouts;
  readonly addresses: AddressTable;
  /** Of PROXY protocol headers. */
  readonly headers: HeaderBounds;
  readonly nowMs: () => number;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly log: Logger;
  /** The connections being served, so that they can be seen and closed from outside. */
  readonly live: LiveConnections;
  readonly events: EventFeed;
  readonly trust: CertificateTrust;
}

/** What the log says of a connection; filled in as the story goes. */
interface Facts {
  /** Given when the connection is served or refused. */
  id?: string;
  listener: string;
  remote: string;
  /** The proxy that spoke for the client. */
  via?: string;
  identity?: string;
  client?: string;
  sni?: string;
  alpn?: string;
  /** The TLS session is one of before. */
  resumed?: true;
  group?: string;
  server?: string;
  attempts?: number;
  /** In the queue, until it got a place or gave up; absent: it did not wait. */
  queuedMs?: number;
  handshakeMs?: number;
  connectMs?: number;
  bytesUp: number;
  bytesDown: number;
  detail?: string;
}

/** Serves one accepted socket until it is closed. Never rejects: whatever happens ends in one reason, one log line and clean counters. */
export async function handleConnection(raw: Socket, listenerName: string, front: Front, context: ConnectionContext): Promise<void> {
  const { lane, admission, nowMs } = context;
  const acceptedMs = nowMs();
  const facts: Facts = { listener: listenerName, remote: `${raw.remoteAddress}:${raw.remotePort}`, bytesUp: 0, bytesDown: 0 };
  let fromAddress: AddressPlace | undefined;
  let downstream: Socket | undefined;
  let identity: Identity | undefined;
  let client: ClientView | undefined;
  let place: Place | undefined;
  let reservation: Reservation | undefined;
  let upstream: Upstream | undefined;
  let served = false;
  let reason: Reason = 'internal_error';
  // A socket that fails says so by closing; each step below watches for that.
  raw.on('error', () => undefined);
  try {
    const source = await sourceOf(raw, listenerNamed(listenerName, context.view()), context.headers);
    tellSource(source, facts);
    fromAddress = enterAddress(listenerNamed(listenerName, context.view()), source.bits, context.addresses, nowMs());
    const trustedAsOf = context.trust.epoch(listenerName);
    downstream = await front.handshake(raw);
    fromAddress.shaken();
    const handshakeMs = nowMs() - acceptedMs;
    facts.handshakeMs = roundMs(handshakeMs);
    if (downstream !== raw) lane.countHandshake(handshakeMs / 1000);
    const gone = signalAfter(downstream, ['close']);
    // A client that ends without having said a word does not wait for its turn any longer.
    const givenUp = signalAfter(downstream, ['close', 'end']);

    // No View may stay in a variable here: a connection that lasts for days would keep its whole revision in memory.
    identity = identify(downstream, facts, lane);
    const peer = { identity, source: source.bits };
    client = recognise(peer, context.view(), facts);
    const targetGroup = authorise(client, listenerName, downstream, context.view(), facts);
    const ground = { ...peer, clientId: client.client.clientId, group: targetGroup };
    place = await admission.admit(client, givenUp);
    reservation = await context.waitingRoom.reserve(ground, client.slot, givenUp, (waitedMs) => {
      facts.queuedMs = roundMs(waitedMs);
    });
    const dialledMs = nowMs();
    const dial = dialFor(targetGroup, { source, identity, downstream }, facts, context);
    upstream = await connectUpstream(groupNamed(targetGroup, context.view()), reservation, ground, lane, dial, gone);
    facts.server = upstream.server.address;
    facts.attempts = upstream.attempts;
    const connectMs = nowMs() - dialledMs;
    facts.connectMs = roundMs(connectMs);
    lane.countConnect(connectMs / 1000);
    await context.trust.refuseIfWithdrawn(listenerName, trustedAsOf, () => presentedChain(downstream));
    refuseIfWithdrawn(ground, context.view());

    served = true;
    reason = await serve(raw, downstream, client, upstream, ground, facts, context);
  } catch (error) {
    reason = refuse(raw, downstream, error, facts, context);
    upstream?.socket.destroy();
    // One that failed while it was being served has told its end.
    if (!served) tellRefused(reason, identity, facts, context);
  } finally {
    reservation?.release();
    upstream?.release();
    place?.release();
    fromAddress?.release();
    account(reason, client, lane);
    report(reason, facts, nowMs() - acceptedMs, context.log);
  }
}

function tellSource({ address, via }: Source, facts: Facts): void {
  if (via === undefined) return;
  facts.remote = formatAddress(address);
  facts.via = via;
}

/** What the certificate proves; undefined on a plain listener. @throws Refusal */
function identify(downstream: Socket, facts: Facts, lane: LaneWriter): Identity | undefined {
  if (!(downstream instanceof TLSSocket)) return undefined;
  const certificate = downstream.getPeerX509Certificate();
  if (certificate === undefined) throw new Refusal('no_client_certificate', 'the certificate is gone');
  if (downstream.isSessionReused()) {
    facts.resumed = true;
    lane.countResumed();
  }
  const identity = identityIn(certificate);
  facts.identity = displayName(identity).slice(0, 256);
  return identity;
}

/** Which client it is. @throws Refusal */
function recognise(peer: Peer, view: View, facts: Facts): ClientView {
  if (peer.identity !== undefined) refuseIfRevoked(peer.identity.fingerprint, view);
  const client = clientOf(peer, view);
  facts.client = client.client.clientId;
  return client;
}

/** The name of the target group that the client gets. @throws Refusal */
function authorise({ client }: ClientView, listenerName: string, downstream: Socket, view: View, facts: Facts): string {
  const requested = requestedOf(downstream);
  if (requested.sni !== undefined) facts.sni = requested.sni.slice(0, 256);
  if (requested.alpn !== undefined) facts.alpn = requested.alpn;
  const { targetGroup, rule } = routeOf(client, listenerName, requested, view);
  facts.detail = rule;
  facts.group = targetGroup;
  return targetGroup;
}

/** Connects to servers of the group, and tells them what the group's settings say they are told. @throws Refusal */
function dialFor(
  targetGroup: string,
  client: Pick<Presented, 'source' | 'identity' | 'downstream'>,
  facts: Facts,
  context: ConnectionContext,
): Dial {
  const { lane, openings, hosts, tellFailing, view } = context;
  // Before it is served it has no place in the order of those that are: its id is given now, its number then.
  const id = () => (facts.id ??= connectionId(lane.lane, lane.nextNumber()));
  const presented = { ...client, requested: requestedOf(client.downstream), id };
  const { group } = groupNamed(targetGroup, view());
  return countingFailures(dialWith(openings.of(group, presented), hosts), group, lane.outliers, tellFailing);
}

/** The state may have changed while the client waited or its server was dialled: what it is not allowed now is not served. */
function refuseIfWithdrawn(ground: Ground, view: View): void {
  const withdrawal = withdrawn(ground, view);
  if (withdrawal !== undefined) throw new Refusal(withdrawal.refusal, withdrawal.detail);
}

function requestedOf(downstream: Socket) {
  if (!(downstream instanceof TLSSocket)) return { sni: undefined, alpn: undefined };
  // @types/node types both loosely; without SNI servername is false, without ALPN alpnProtocol is false.
  const sni: unknown = downstream.servername;
  const alpn: unknown = downstream.alpnProtocol;
  return {
    sni: typeof sni === 'string' && sni !== '' ? sni.toLowerCase() : undefined,
    alpn: typeof alpn === 'string' && alpn !== '' ? alpn : undefined,
  };
}

/** Copies bytes until both sides are closed. */
async function serve(
  raw: Socket,
  downstream: Socket,
  client: ClientView,
  upstream: Upstream,
  ground: Ground,
  facts: Facts,
  context: ConnectionContext,
): Promise<CloseReason> {
  const { lane, live, events, timeouts, nowMs, wallMs } = context;
  const { server } = upstream;
  const splice = new Splice({
    client: downstream,
    upstream: upstream.socket,
    timeouts,
    nowMs,
    resetClient: () => reset(raw, downstream),
    pace: paceOf(client, context.view, context.pacer),
    onBytesUp: (bytes) => {
      facts.bytesUp += bytes;
      lane.countBytesUp(client.slot, server.slot, bytes);
    },
    onBytesDown: (bytes) => {
      facts.bytesDown += bytes;
      lane.countBytesDown(client.slot, server.slot, bytes);
    },
  });
  const number = lane.nextNumber();
  facts.id ??= connectionId(lane.lane, number);
  const openedAtMs = wallMs();
  const connection: LiveConnection = {
    id: facts.id,
    number,
    clientId: ground.clientId,
    fingerprint: ground.identity?.fingerprint ?? '',
    listener: facts.listener,
    chain: () => presentedChain(downstream),
    group: ground.group,
    server: server.address,
    ground,
    facts: () => connectionFacts(facts, number, ground.identity, openedAtMs),
    lastMoveMs: () => splice.lastMoveMs,
    close: (reason) => splice.close(reason),
  };
  live.add(connection);
  events.add(() => ({ kind: 'opened', atMs: openedAtMs, connection: connection.facts() }));
  lane.countAccepted(client.slot);
  let reason: CloseReason = 'internal_error';
  try {
    reason = await splice.run();
    return reason;
  } finally {
    lane.countEnded();
    live.delete(connection);
    events.add(() => ({ kind: 'closed', atMs: wallMs(), connection: connection.facts(), reason, detail: facts.detail ?? '' }));
  }
}

function tellRefused(reason: Reason, identity: Identity | undefined, facts: Facts, { lane, events, wallMs }: ConnectionContext): void {
  const number = lane.nextNumber();
  facts.id ??= connectionId(lane.lane, number);
  events.add(() => ({
    kind: 'refused',
    atMs: wallMs(),
    connection: connectionFacts(facts, number, identity, undefined),
    reason,
    detail: facts.detail ?? '',
  }));
}

/** A connection as others see it. */
function connectionFacts(facts: Facts, number: number, identity: Identity | undefined, openedAtMs: number | undefined): ConnectionFacts {
  return {
    id: facts.id ?? '',
    number,
    listener: facts.listener,
    remote: facts.remote,
    via: facts.via ?? '',
    clientId: facts.client ?? '',
    identity: facts.identity ?? '',
    fingerprint: identity?.fingerprint ?? '',
    group: facts.group ?? '',
    server: facts.server ?? '',
    openedAtMs,
    bytesFromClient: facts.bytesUp,
    bytesToClient: facts.bytesDown,
  };
}

/** Tells the client, and says why. */
function refuse(raw: Socket, downstream: Socket | undefined, error: unknown, facts: Facts, { log }: ConnectionContext): Reason {
  if (!(error instanceof Refusal)) {
    log.error({ err: error, remote: facts.remote, listener: facts.listener }, 'a connection failed inside the load balancer');
    reset(raw, downstream);
    return 'internal_error';
  }
  facts.detail = error.message;
  if (error.manner === 'close' && downstream !== undefined) endAndLinger(downstream);
  else reset(raw, downstream);
  return error.reason;
}

function account(reason: Reason, client: ClientView | undefined, lane: LaneWriter): void {
  lane.countReason(reason);
  if (client !== undefined && isRefusal(reason)) lane.countRefused(client.slot, reason);
}

/** One line a connection. Names come from certificates and clients: they are bounded, and JSON escapes what could steer a terminal. */
function report(reason: Reason, facts: Facts, durationMs: number, log: Logger): void {
  const line = { reason, ...facts, durationMs: roundMs(durationMs) };
  if (isRefusal(reason)) log.warn(line, 'connection refused');
  else log.info(line, 'connection closed');
}

/** To a tenth: what a person reads. */
function roundMs(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function signalAfter(socket: Socket, events: readonly ('close' | 'end')[]): AbortSignal {
  const controller = new AbortController();
  for (const event of events) socket.once(event, () => controller.abort());
  return controller.signal;
}
