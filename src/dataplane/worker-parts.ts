/** What a worker is made of: all that its connections go through, wired together once. */
import type { Socket } from 'node:net';
import { monotonicMs } from '../shared/clock.ts';
import { AddressTable } from '../shared/memory/address-table.ts';
import { ByteLines } from '../shared/memory/byte-lines.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import type { FromWorker, WorkerBirth } from '../shared/messages.ts';
import { HostAddresses } from '../shared/upstream-addresses.ts';
import { Admission } from './admission.ts';
import { CertificateTrust } from './certificate-trust.ts';
import type { ConnectionContext } from './connection.ts';
import { DelayedConnections } from './delayed-connections.ts';
import { DialledConnections } from './dialled-connections.ts';
import { Doors } from './doors.ts';
import { EventFeed } from './event-feed.ts';
import { AddressGate } from './gate.ts';
import { KnownCertificates } from './known-certificates.ts';
import { LiveConnections } from './live-connections.ts';
import { createWorkerLog } from './log.ts';
import { Openings } from './openings.ts';
import { Pacer } from './pacer.ts';
import type { Front } from './plain-front.ts';
import { ReadTurns } from './read-turns.ts';
import { objectionTo } from './standing.ts';
import { Tarpit } from './tarpit.ts';
import { HandshakeBudget, offeredAlpn, TlsFront } from './tls.ts';
import { tellTurnedAway } from './turned-away.ts';
import type { View } from './view.ts';
import { WaitingConnections } from './waiting-connections.ts';
import { WaitingRoom } from './waiting-room.ts';

/** In the tarpit: what each has sent by itself, 64 KiB at most, is kept. */
const MOST_HELD = 256;

/** What the parts of a worker ask of it. */
export interface WorkerSelf {
  readonly lane: LaneWriter;
  /** The state of now; it is another object after each change. */
  readonly view: () => View;
  readonly send: (message: FromWorker) => void;
  /** Takes whoever came on a listener that is served. */
  readonly accept: (socket: Socket, listener: string, front: Front) => void;
  /** Told last of every accepted connection. */
  readonly leave: (socket: Socket) => void;
}

export interface WorkerParts {
  readonly doors: Doors;
  readonly delayed: DelayedConnections;
  /** All that a connection uses, for all of them. */
  readonly context: ConnectionContext;
}

/** No port is open yet: `doors` opens them. */
export function createWorkerParts(birth: WorkerBirth, { lane, view, send, accept, leave }: WorkerSelf): WorkerParts {
  const log = createWorkerLog(birth.logLevel, (lines) => send({ kind: 'log', lines }));
  const addresses = new AddressTable(birth.memory.addresses, birth.lane);
  const delayed = new DelayedConnections({
    lane,
    nowMs: monotonicMs,
    isLimited: (clientId) => canDelay(view(), clientId),
    objectionTo: (ground) => objectionTo(ground, view()),
  });
  const events = new EventFeed(birth.watched, (batch) => send({ kind: 'events', ...batch }));
  const live = new LiveConnections(view);
  const tarpit = new Tarpit({
    nowMs: monotonicMs,
    most: Math.min(MOST_HELD, Math.floor(birth.maxConnections / 16)),
    onHeld: (count) => lane.setHeld(count),
  });
  const headers = { timeoutMs: birth.timeouts.handshakeMs, budget: new HandshakeBudget(birth.maxPendingHandshakes) };
  const context: ConnectionContext = {
    view,
    lane,
    admission: new Admission({ lane, nowMs: monotonicMs, rateNow: (clientId) => view().rateOf(clientId), delayed, log }),
    waitingRoom: new WaitingRoom({ lane, view, nowMs: monotonicMs }),
    waiting: new WaitingConnections({ lane, events, wallMs: Date.now }),
    dialled: new DialledConnections({ lane, view, wallMs: Date.now }),
    pacer: new Pacer(new ByteLines(birth.memory.byteLines), lane, monotonicMs),
    turns: new ReadTurns(),
    openings: new Openings(birth.upstreamTls),
    hosts: new HostAddresses(birth.hosts),
    tellFailing: (server) => send({ kind: 'failing', ...server }),
    timeouts: birth.timeouts,
    addresses,
    headers,
    nowMs: monotonicMs,
    wallMs: Date.now,
    log,
    live,
    events,
    trust: new CertificateTrust((listener) => doors.material(listener), live),
    certificates: new KnownCertificates(),
    leave,
    tarpit,
  };
  const gate = new AddressGate({
    addresses,
    tarpit,
    nowMs: monotonicMs,
    listenerNamed: (name) => view().listener(name),
    tell: (who) => tellTurnedAway(who, context),
  });
  const doors = new Doors({
    material: birth.tls,
    ports: birth.ports,
    accept,
    gate,
    createFront: (listener, material) => new TlsFront({ material, alpn: offeredAlpn(listener), ...headers }),
    log,
  });
  return { doors, delayed, context };
}

/** Whether a limit of the client can make its connections wait; one in shadow only looks on. */
function canDelay({ snapshot }: View, clientId: string): boolean {
  const limits = snapshot.clients.get(clientId)?.limits;
  return limits?.connectionRate !== undefined && !limits.shadow;
}
