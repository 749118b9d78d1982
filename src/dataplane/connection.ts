/** The life of one connection, from accept to close. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { Requested } from '../domain/authz.ts';
import { displayName, type Identity, type Peer } from '../domain/identity.ts';
import { isRefusal, type Reason } from '../domain/reasons.ts';
import type { AddressPlace, AddressTable } from '../shared/memory/address-table.ts';
import type { FailingServer } from '../shared/messages.ts';
import type { HostAddresses } from '../shared/upstream-addresses.ts';
import { enterAddress } from './address-guard.ts';
import type { Admission, Place } from './admission.ts';
import { presentedChain } from './certificate-chain.ts';
import type { CertificateTrust } from './certificate-trust.ts';
import { ClientWatch } from './client-watch.ts';
import { type Facts, factsOf, idBeforeServing, noteSource, report, roundMs } from './connection-facts.ts';
import { dialWith } from './dial.ts';
import type { DialledConnections } from './dialled-connections.ts';
import { countingFailures } from './failure-runs.ts';
import { clientOf, groupNamed, listenerNamed, refuseIfRevoked, routeOf } from './gates.ts';
import type { KnownCertificates } from './known-certificates.ts';
import { endAndLinger } from './linger.ts';
import type { Openings, Presented } from './openings.ts';
import type { Front } from './plain-front.ts';
import { Refusal } from './refusal.ts';
import { clientRefused } from './refused-client.ts';
import { requestedOf } from './requested.ts';
import { reset } from './reset.ts';
import { ServedConnection, type Serving, type ServingContext, tellRefused } from './serve.ts';
import { accepts, announcedSource, directSource, type HeaderBounds } from './source.ts';
import { type Ground, objectionTo } from './standing.ts';
import type { Tarpit } from './tarpit.ts';
import { connectUpstream, type Dial, type Reservation, type Upstream } from './upstream.ts';
import type { ClientView, View } from './view.ts';
import type { Waiting, WaitsFor } from './waiting.ts';
import type { WaitingConnections } from './waiting-connections.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** What a connection finds in its worker. */
export interface ConnectionContext extends ServingContext {
  readonly admission: Admission;
  readonly waitingRoom: WaitingRoom;
  readonly waiting: WaitingConnections;
  readonly dialled: DialledConnections;
  readonly openings: Openings;
  readonly hosts: HostAddresses;
  readonly tellFailing: (server: FailingServer) => void;
  readonly addresses: AddressTable;
  /** Of PROXY protocol headers. */
  readonly headers: HeaderBounds;
  readonly log: Logger;
  readonly trust: CertificateTrust;
  readonly certificates: KnownCertificates;
  readonly tarpit: Tarpit;
  /** Told last, when nothing of the connection is left. */
  readonly leave: (raw: Socket) => void;
}

/** How far a connection has come: who it turned out to be, and what it holds. */
class Visit {
  source: bigint | undefined;
  downstream: Socket | undefined;
  identity: Identity | undefined;
  client: ClientView | undefined;
  upstream: Upstream | undefined;
  served: ServedConnection | undefined;
  fromAddress: AddressPlace | undefined;
  place: Place | undefined;
  reservation: Reservation | undefined;

  release(): void {
    this.reservation?.release();
    this.place?.release();
    this.fromAddress?.release();
  }
}

/** Serves one accepted socket until it is closed. Never rejects: whatever happens ends in one reason, one log line and clean counters. */
export async function handleConnection(raw: Socket, listenerName: string, front: Front, context: ConnectionContext): Promise<void> {
  const acceptedMs = context.nowMs();
  const facts = factsOf(raw, listenerName);
  const visit = new Visit();
  let reason: Reason = 'internal_error';
  // A socket that fails says so by closing; each step below watches for that.
  raw.on('error', ignore);
  try {
    const serving = await letIn(raw, front, acceptedMs, visit, facts, context);
    visit.served = new ServedConnection(serving, facts, context);
    reason = await visit.served.run();
  } catch (error) {
    const { identity, source, downstream, upstream, served } = visit;
    visit.client ??= whoseRefusal(error, identity, source, facts, context.view());
    reason = refuse(raw, downstream, error, facts, context);
    upstream?.socket.destroy();
    if (served === undefined) tellRefused(reason, identity, facts, context);
  } finally {
    visit.served?.end(reason);
    visit.release();
    account(reason, visit.client, listenerName, context);
    report(reason, facts, context.nowMs() - acceptedMs, context.log);
    context.leave(raw);
  }
}

/** All that comes before a connection is served. What is needed for that alone does not stay in memory with it. @throws Refusal */
async function letIn(
  raw: Socket,
  front: Front,
  acceptedMs: number,
  visit: Visit,
  facts: Facts,
  context: ConnectionContext,
): Promise<Serving> {
  const { nowMs } = context;
  const { listener } = facts;
  // No View may stay in a variable here: a connection that waits for long would keep its whole revision in memory.
  const direct = directSource(raw);
  const isAnnounced = accepts(listenerNamed(listener, context.view()), direct.bits);
  const source = isAnnounced ? await announcedSource(raw, direct, context.headers) : direct;
  visit.source = source.bits;
  noteSource(source, facts);
  const fromAddress = enterAddress(listenerNamed(listener, context.view()), source.bits, context.addresses, nowMs());
  visit.fromAddress = fromAddress;
  const trustedAsOf = context.trust.epoch(listener);
  const downstream = await front.handshake(raw);
  visit.downstream = downstream;
  noteHandshake(downstream, nowMs() - acceptedMs, facts, context);
  fromAddress.shaken();
  const watch = new ClientWatch(downstream);

  const identity = identify(downstream, facts, context);
  visit.identity = identity;
  const peer = { identity, source: source.bits };
  const client = recognise(peer, context.view(), facts);
  visit.client = client;
  const requested = requestedOf(downstream);
  const group = authorise(client, listener, requested, context.view(), facts);
  const ground = { ...peer, clientId: client.client.clientId, group };
  const stillTrusted = () => context.trust.refuseIfWithdrawn(listener, trustedAsOf, () => presentedChain(downstream));
  const waiting = (kind: WaitsFor): Waiting => ({
    gone: watch.givenUp,
    stillTrusted,
    ...context.waiting.tellOf(kind, ground, client.slot, facts),
  });
  visit.place = await context.admission.admit(client, ground, waiting('delayed'));
  const reservation = await context.waitingRoom.reserve(ground, client.slot, waiting('queued'));
  visit.reservation = reservation;
  const dial = dialFor(group, { source, identity, downstream, requested }, facts, context);
  const dialled = context.dialled.add({ ground, facts, client: watch, stillTrusted });
  try {
    const upstream = await connect(ground, reservation, dialled.noting(dial), watch.gone, facts, context);
    visit.upstream = upstream;
    visit.reservation = upstream.reservation;
    await stillTrusted();
    refuseIfWithdrawn(ground, context.view());
    watch.end();
    return { raw, downstream, upstream, client, ground };
  } finally {
    context.dialled.delete(dialled);
  }
}

/** On a plain listener there was none to count. */
function noteHandshake(downstream: Socket, tookMs: number, facts: Facts, { lane }: ConnectionContext): void {
  facts.handshakeMs = roundMs(tookMs);
  if (downstream instanceof TLSSocket) lane.countHandshake(tookMs / 1000);
}

/** What the certificate proves; undefined on a plain listener. @throws Refusal */
function identify(downstream: Socket, facts: Facts, { certificates, lane }: ConnectionContext): Identity | undefined {
  if (!(downstream instanceof TLSSocket)) return undefined;
  if (downstream.isSessionReused()) {
    facts.resumed = true;
    lane.countResumed();
  }
  const identity = certificates.identityOf(downstream);
  facts.identity = displayName(identity).slice(0, 256);
  return identity;
}

/** Which client it is. @throws Refusal */
function recognise(peer: Peer, view: View, facts: Facts): ClientView {
  if (peer.identity !== undefined) refuseIfRevoked(peer.identity, view);
  const client = clientOf(peer, view);
  facts.client = client.client.clientId;
  return client;
}

/** The name of the target group that the client gets. @throws Refusal */
function authorise({ client }: ClientView, listenerName: string, requested: Requested, view: View, facts: Facts): string {
  if (requested.sni !== undefined) facts.sni = requested.sni.slice(0, 256);
  if (requested.alpn !== undefined) facts.alpn = requested.alpn;
  const { targetGroup, rule } = routeOf(client, listenerName, requested, view);
  facts.detail = rule;
  facts.group = targetGroup;
  return targetGroup;
}

/** Connects to servers of the group, and tells them what the group's settings say they are told. @throws Refusal */
function dialFor(targetGroup: string, client: Omit<Presented, 'id'>, facts: Facts, context: ConnectionContext): Dial {
  const { lane, openings, hosts, tellFailing, view } = context;
  const presented = { ...client, id: () => idBeforeServing(facts, lane) };
  const { group } = groupNamed(targetGroup, view());
  return countingFailures(dialWith(openings.of(group, presented), hosts), group, lane.outliers, tellFailing);
}

/** A server that answers, on the place that was taken or another one. @throws Refusal */
async function connect(
  ground: Ground,
  reservation: Reservation,
  dial: Dial,
  gone: AbortSignal,
  facts: Facts,
  { lane, view, nowMs }: ConnectionContext,
): Promise<Upstream> {
  const dialledMs = nowMs();
  const upstream = await connectUpstream(groupNamed(ground.group, view()), reservation, ground, lane, dial, gone);
  const connectMs = nowMs() - dialledMs;
  facts.server = upstream.reservation.server.address;
  facts.attempts = upstream.attempts;
  facts.connectMs = roundMs(connectMs);
  lane.countConnect(connectMs / 1000);
  return upstream;
}

/** The last word before it is served, whatever has ended those on their way: what the client is not allowed now is not served. */
function refuseIfWithdrawn(ground: Ground, view: View): void {
  const objection = objectionTo(ground, view);
  if (objection !== undefined) throw objection;
}

/** The client whose certificate is refused, if it is proven to be. */
function whoseRefusal(
  error: unknown,
  identity: Identity | undefined,
  source: bigint | undefined,
  facts: Facts,
  view: View,
): ClientView | undefined {
  const client = clientRefused(error, identity, source, view);
  if (client !== undefined) facts.client = client.client.clientId;
  return client;
}

/** Tells the client, and says why. */
function refuse(raw: Socket, downstream: Socket | undefined, error: unknown, facts: Facts, { log, tarpit }: ConnectionContext): Reason {
  if (!(error instanceof Refusal)) {
    log.error({ err: error, remote: facts.remote, listener: facts.listener }, 'a connection failed inside the load balancer');
    reset(raw, downstream);
    return 'internal_error';
  }
  facts.detail = error.message;
  if (error.manner === 'close' && downstream !== undefined) endAndLinger(downstream);
  else if (error.manner === 'hold' && downstream === undefined) tarpit.holdSocket(raw);
  else reset(raw, downstream);
  return error.reason;
}

function account(reason: Reason, client: ClientView | undefined, listenerName: string, { lane, view }: ConnectionContext): void {
  lane.countReason(reason);
  if (!isRefusal(reason)) return;
  lane.listeners.countRefused(view().slots.listeners.get(listenerName));
  if (client !== undefined) lane.countRefused(client.slot, reason);
}

function ignore(): void {
  // Its `close` says all there is to do.
}
