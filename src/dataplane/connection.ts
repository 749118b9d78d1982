/** The life of one connection, from accept to close. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { decide } from '../domain/authz.ts';
import { displayName, identityOf } from '../domain/identity.ts';
import type { Listener, Timeouts } from '../domain/model.ts';
import { type CloseReason, isRefusal, type Reason } from '../domain/reasons.ts';
import type { LaneWriter } from '../shared/memory.ts';
import type { ConnectionSelector } from '../shared/messages.ts';
import type { Admission, Place } from './admission.ts';
import { endAndLinger } from './linger.ts';
import { Refusal } from './refusal.ts';
import { reset } from './reset.ts';
import { Splice } from './splice.ts';
import type { TlsFront } from './tls.ts';
import { connectUpstream, type Dial, type Upstream } from './upstream.ts';
import type { ClientView, GroupView, View } from './view.ts';

/** What a connection finds in its worker. */
export interface ConnectionContext {
  /** The state of now; it is another object after each change. */
  readonly view: () => View;
  readonly lane: LaneWriter;
  readonly admission: Admission;
  readonly dial: Dial;
  readonly timeouts: Timeouts;
  readonly nowMs: () => number;
  readonly log: Logger;
  /** The connections being served, so that they can be closed from outside. */
  readonly live: Set<LiveConnection>;
}

export interface LiveConnection extends Required<ConnectionSelector> {
  close(reason: CloseReason): void;
}

/** What the log says of a connection; filled in as the story goes. */
interface Facts {
  listener: string;
  remote: string;
  identity?: string;
  client?: string;
  sni?: string;
  alpn?: string;
  group?: string;
  server?: string;
  attempts?: number;
  handshakeMs?: number;
  connectMs?: number;
  bytesUp: number;
  bytesDown: number;
  detail?: string;
}

/** Serves one accepted socket until it is closed. Never rejects: whatever happens ends in one reason, one log line and clean counters. */
export async function handleConnection(raw: Socket, listenerName: string, front: TlsFront, context: ConnectionContext): Promise<void> {
  const { lane, admission, dial, nowMs } = context;
  const acceptedMs = nowMs();
  const facts: Facts = { listener: listenerName, remote: `${raw.remoteAddress}:${raw.remotePort}`, bytesUp: 0, bytesDown: 0 };
  let downstream: TLSSocket | undefined;
  let client: ClientView | undefined;
  let place: Place | undefined;
  let upstream: Upstream | undefined;
  let reason: Reason = 'internal_error';
  // A socket that fails says so by closing; each step below watches for that.
  raw.on('error', () => undefined);
  try {
    downstream = await front.handshake(raw);
    facts.handshakeMs = roundMs(nowMs() - acceptedMs);
    const gone = signalAfter(downstream, ['close']);
    // A client that ends without having said a word does not wait for its turn any longer.
    const givenUp = signalAfter(downstream, ['close', 'end']);

    // No View may stay in a variable here: a connection that lasts for days would keep its whole revision in memory.
    client = identify(downstream, context.view(), facts);
    const targetGroup = authorise(client, listenerName, downstream, context.view(), facts);
    place = await admission.admit(client, givenUp);
    const dialledMs = nowMs();
    upstream = await connectUpstream(groupNamed(targetGroup, context.view()), lane, dial, gone);
    facts.server = upstream.server.address;
    facts.attempts = upstream.attempts;
    facts.connectMs = roundMs(nowMs() - dialledMs);
    refuseIfWithdrawn(client, listenerName, downstream, context.view());

    reason = await serve(raw, downstream, client, upstream, facts, context);
  } catch (error) {
    reason = refuse(raw, downstream, error, facts, context);
    upstream?.socket.destroy();
  } finally {
    upstream?.release();
    place?.release();
    account(reason, client, lane);
    report(reason, facts, nowMs() - acceptedMs, context.log);
  }
}

/** Which client the certificate is. @throws Refusal */
function identify(downstream: TLSSocket, view: View, facts: Facts): ClientView {
  const certificate = downstream.getPeerX509Certificate();
  if (certificate === undefined) throw new Refusal('no_client_certificate', 'the certificate is gone');
  const identity = identityOf(certificate);
  if (identity === 'ambiguous') throw new Refusal('ambiguous_identity', 'the certificate has more than one common name');
  facts.identity = displayName(identity).slice(0, 256);
  const client = view.findClient(identity);
  if (client === 'unknown') throw new Refusal('unknown_client', `no client matches; fingerprint ${identity.fingerprint}`);
  if (client === 'ambiguous') throw new Refusal('ambiguous_identity', 'the certificate matches more than one client');
  facts.client = client.client.clientId;
  return client;
}

/** The name of the target group that the client gets. @throws Refusal */
function authorise({ client }: ClientView, listenerName: string, downstream: TLSSocket, view: View, facts: Facts): string {
  const requested = requestedOf(downstream);
  if (requested.sni !== undefined) facts.sni = requested.sni.slice(0, 256);
  if (requested.alpn !== undefined) facts.alpn = requested.alpn;
  const decision = decide(client, listenerNamed(listenerName, view), requested);
  facts.detail = decision.rule;
  if (!decision.allowed) throw new Refusal(decision.reason, decision.rule);
  facts.group = decision.targetGroup;
  return decision.targetGroup;
}

/** The client may have been changed while it waited or its server was dialled: what it is not allowed now is not served. */
function refuseIfWithdrawn({ client }: ClientView, listenerName: string, downstream: TLSSocket, view: View): void {
  const now = view.snapshot.clients.get(client.clientId);
  if (now === client) return;
  if (now === undefined) throw new Refusal('unknown_client', `${client.clientId} was removed meanwhile`);
  const decision = decide(now, listenerNamed(listenerName, view), requestedOf(downstream));
  if (!decision.allowed) throw new Refusal(decision.reason, decision.rule);
}

function listenerNamed(name: string, view: View): Listener {
  const listener = view.listener(name);
  if (listener === undefined) throw new Refusal('no_route', `listener ${name} was removed`);
  return listener;
}

function groupNamed(name: string, view: View): GroupView {
  const group = view.group(name);
  if (group === undefined) throw new Refusal('no_route', `target group ${name} was removed`);
  return group;
}

function requestedOf(downstream: TLSSocket) {
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
  downstream: TLSSocket,
  client: ClientView,
  upstream: Upstream,
  facts: Facts,
  context: ConnectionContext,
): Promise<CloseReason> {
  const { lane, live, timeouts, nowMs } = context;
  const { server } = upstream;
  const splice = new Splice({
    client: downstream,
    upstream: upstream.socket,
    timeouts,
    nowMs,
    resetClient: () => reset(raw, downstream),
    onBytesUp: (bytes) => {
      facts.bytesUp += bytes;
      lane.countBytesUp(client.slot, server.slot, bytes);
    },
    onBytesDown: (bytes) => {
      facts.bytesDown += bytes;
      lane.countBytesDown(client.slot, server.slot, bytes);
    },
  });
  const connection: LiveConnection = {
    clientId: client.client.clientId,
    group: facts.group ?? '',
    server: server.address,
    close: (reason) => splice.close(reason),
  };
  live.add(connection);
  lane.countAccepted(client.slot);
  try {
    return await splice.run();
  } finally {
    lane.countEnded();
    live.delete(connection);
  }
}

/** Tells the client, and says why. */
function refuse(raw: Socket, downstream: TLSSocket | undefined, error: unknown, facts: Facts, { log }: ConnectionContext): Reason {
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

function signalAfter(socket: TLSSocket, events: readonly ('close' | 'end')[]): AbortSignal {
  const controller = new AbortController();
  for (const event of events) socket.once(event, () => controller.abort());
  return controller.signal;
}
