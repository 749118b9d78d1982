/** A worker thread: listens beside its siblings (reusePort), serves connections, swaps snapshots, drains. */
import type { Socket } from 'node:net';
import { setTimeout as passed } from 'node:timers/promises';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { mayForbid } from '../domain/may-forbid.ts';
import { isLossOfServer } from '../domain/reasons.ts';
import { apply, type Command } from '../domain/state.ts';
import { monotonicMs } from '../shared/clock.ts';
import { tryLending } from '../shared/lent-buffer.ts';
import { LaneWriter } from '../shared/memory/lane-writer.ts';
import type { ConnectionQuery, Ended, FromWorker, ToWorker, WorkerBirth } from '../shared/messages.ts';
import { countNewlyBounded } from './address-guard.ts';
import { type ConnectionContext, handleConnection } from './connection.ts';
import { onePage } from './connection-page.ts';
import type { DelayedConnections } from './delayed-connections.ts';
import type { Doors } from './doors.ts';
import { explain } from './explain.ts';
import type { Front } from './plain-front.ts';
import { remoteOf } from './source.ts';
import { tellTurnedAway } from './turned-away.ts';
import { mergeSlots, View } from './view.ts';
import { createWorkerParts } from './worker-parts.ts';

/** How long whoever asks for a reload waits for the count of those who are not served yet. */
const WAITING_COUNTED_FOR_MS = 2_000;

class Worker {
  readonly #port: MessagePort;
  readonly #birth: WorkerBirth;
  readonly #lane: LaneWriter;
  readonly #doors: Doors;
  readonly #delayed: DelayedConnections;
  readonly #context: ConnectionContext;
  /** Every accepted socket that is not closed yet, those in the handshake too. */
  readonly #sockets = new Set<Socket>();
  #view: View;
  /** Who was not served yet and was refused because what let him in, or his queue, is withdrawn: not told yet. */
  #endedWaiting = 0;
  #onIdle: (() => void) | undefined;
  /** Connections that were there when the deadline of the end came. */
  #leftAtDeadline = 0;

  constructor(port: MessagePort, birth: WorkerBirth) {
    this.#port = port;
    this.#birth = birth;
    this.#lane = new LaneWriter(birth.memory, birth.lane);
    this.#view = new View(birth.snapshot, birth.slots, this.#lane);
    const { doors, delayed, context } = createWorkerParts(birth, {
      lane: this.#lane,
      view: () => this.#view,
      send: (message) => this.#send(message),
      accept: (socket, listener, front) => this.#accept(socket, listener, front),
      leave: (socket) => this.#leave(socket),
    });
    this.#doors = doors;
    this.#delayed = delayed;
    this.#context = context;
  }

  async run(): Promise<void> {
    this.#port.on('message', (message: ToWorker) => this.#receive(message));
    void this.#lend();
    const result = await this.#doors.open(this.#view.snapshot.listeners, this.#birth.ports);
    if ('code' in result) return this.#send({ kind: 'listenFailed', ...result });
    // The listeners of now: they may have changed while the ports were being opened.
    this.#doors.follow(this.#view.snapshot.listeners, new Map());
    this.#send({ kind: 'listening', ports: result });
  }

  /** Until it is known to work, each read has a buffer of its own. */
  async #lend(): Promise<void> {
    if (await tryLending().catch(() => false)) return;
    this.#context.log.warn('this Node.js has other sockets than those known here: each read gets a buffer of its own');
  }

  #accept(socket: Socket, listenerName: string, front: Front): void {
    if (this.#sockets.size >= this.#birth.maxConnections) {
      this.#turnAway(socket, listenerName);
      return;
    }
    this.#sockets.add(socket);
    void handleConnection(socket, listenerName, front, this.#context);
  }

  #leave(socket: Socket): void {
    this.#sockets.delete(socket);
    if (this.#sockets.size === 0) this.#onIdle?.();
  }

  #turnAway(socket: Socket, listener: string): void {
    const detail = () => `this worker holds ${this.#sockets.size} connections, as many as the open-file limit allows`;
    tellTurnedAway({ reason: 'overloaded', listener, remote: remoteOf(socket), detail }, this.#context);
    socket.on('error', () => undefined);
    socket.resetAndDestroy();
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case 'publish': {
        const { snapshot: previous, slots } = this.#view;
        const snapshot = message.commands.reduce(apply, previous);
        this.#context.openings.use(message.upstreamTls);
        this.#view = new View(snapshot, mergeSlots(slots, message.slots, previous, snapshot), this.#lane, this.#view);
        if (snapshot.listeners !== previous.listeners) {
          const renewed = this.#doors.withOtherTrust(message.listenerTls);
          this.#doors.follow(snapshot.listeners, message.listenerTls);
          countNewlyBounded(previous.listeners, snapshot.listeners, this.#context.addresses, monotonicMs());
          void this.#renew(renewed);
        }
        this.#context.live.pardonTheAllowed();
        this.#endWaiting(message.commands);
        this.#context.pacer.replan();
        this.#send({ kind: 'published', revision: snapshot.revision });
        break;
      }
      case 'open':
        void this.#open(message);
        break;
      case 'shut':
        this.#doors.follow(this.#view.snapshot.listeners, new Map());
        break;
      case 'tls':
        void this.#reload(message);
        break;
      case 'hosts':
        this.#context.hosts.use(message.hosts);
        this.#send({ kind: 'done', requestId: message.requestId, count: message.hosts.size });
        break;
      case 'refuseWaiting':
        this.#send({ kind: 'done', requestId: message.requestId, count: this.#context.waiting.refuse(message.selector) });
        break;
      case 'close':
        this.#close(message);
        break;
      case 'enforce':
        this.#send({
          kind: 'ended',
          requestId: message.requestId,
          served: this.#context.live.enforce(message),
          waiting: this.#endedWaiting,
        });
        this.#endedWaiting = 0;
        break;
      case 'rebalance':
        this.#send({ kind: 'done', requestId: message.requestId, count: this.#context.live.closeIdlest(message.closings, 'rebalanced') });
        break;
      case 'list':
        this.#list(message.requestId, message.query);
        break;
      case 'watch':
        this.#context.events.watch(message.on);
        break;
      case 'taken':
        this.#context.events.taken();
        break;
      case 'explain':
        void this.#explain(message);
        break;
      case 'logLevel':
        this.#context.log.level = message.level;
        break;
      case 'drain':
        this.#drain();
        break;
      case 'dismissWaiting':
        this.#send({ kind: 'done', requestId: message.requestId, count: this.#dismissWaiting() });
        break;
      case 'closeAll':
        this.#closeAll();
        break;
    }
  }

  #close({ requestId, selector, reason }: Extract<ToWorker, { kind: 'close' }>): void {
    const { live, dialled } = this.#context;
    // One that is being connected to a server that is lost gets another.
    const waiting = isLossOfServer(reason) ? 0 : dialled.refuse(selector);
    this.#send({ kind: 'ended', requestId, served: live.close(selector, reason), waiting });
  }

  /** Those that the changes refuse are counted for who asks next, unless nobody asks after such changes. */
  #endWaiting(commands: readonly Command[]): void {
    const { waitingRoom, dialled } = this.#context;
    const ended = this.#delayed.reconsider() + waitingRoom.reconsider() + dialled.reconsider();
    if (commands.some(mayForbid)) this.#endedWaiting += ended;
  }

  async #open({ requestId, listeners, ports }: Extract<ToWorker, { kind: 'open' }>): Promise<void> {
    this.#send({ kind: 'opened', requestId, result: await this.#doors.open(listeners, ports) });
  }

  /** Answers with how many connections are ended whose certificate is withdrawn by it. */
  async #reload({ requestId, material, upstreamTls }: Extract<ToWorker, { kind: 'tls' }>): Promise<void> {
    const renewed = this.#doors.withOtherTrust(material);
    this.#doors.reload(material);
    this.#context.openings.use(upstreamTls);
    this.#send({ kind: 'ended', requestId, ...(await this.#renew(renewed)) });
  }

  /** Says how many connections are ended. Those that are not served yet may be many: who is judged later than others wait for an answer is not counted. */
  async #renew(listeners: readonly string[]): Promise<Ended> {
    let waiting = 0;
    const onEnded = () => {
      waiting++;
    };
    // First: from here on the listeners judge by what is new.
    const closing = this.#context.trust.renew(listeners);
    if (listeners.length > 0) {
      const { waitingRoom, dialled } = this.#context;
      const judged = Promise.all([this.#delayed.rejudge(onEnded), waitingRoom.rejudge(onEnded), dialled.rejudge(onEnded)]);
      await Promise.race([judged, passed(WAITING_COUNTED_FOR_MS, undefined, { ref: false })]);
    }
    return { served: await closing, waiting };
  }

  #list(requestId: number, query: ConnectionQuery): void {
    const { live, waiting, dialled, events } = this.#context;
    const page = { ...onePage([live.list(query), waiting.list(query), dialled.list(query)], query), lastNumber: this.#lane.lastNumber };
    this.#send({ kind: 'listed', requestId, page, before: events.takeAll() });
  }

  async #explain({ requestId, question }: Extract<ToWorker, { kind: 'explain' }>): Promise<void> {
    const material = this.#doors.material(question.listener);
    const { addresses, admission, pacer, waitingRoom } = this.#context;
    const explanation = await explain(question, { view: this.#view, addresses, admission, pacer, waitingRoom, material });
    this.#send({ kind: 'explained', requestId, explanation });
  }

  #drain(): void {
    this.#context.tarpit.close();
    void this.#doors.close().then(() => this.#endWhenIdle());
  }

  /** Says how many connections the deadline finds. */
  #dismissWaiting(): number {
    this.#leftAtDeadline = this.#sockets.size;
    this.#delayed.dismissAll();
    this.#context.waitingRoom.dismissAll();
    return this.#leftAtDeadline;
  }

  #closeAll(): void {
    this.#context.live.closeAll('shutdown');
    // Those that are not served yet, in the handshake or on the way to a server.
    for (const socket of this.#sockets) if (!socket.destroyed) socket.resetAndDestroy();
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (this.#onIdle !== undefined) return;
    this.#onIdle = () => {
      this.#onIdle = undefined;
      // After the log lines of the last connections, which leave at the end of this turn.
      setImmediate(() => this.#send({ kind: 'drained', reset: this.#leftAtDeadline }));
    };
    if (this.#sockets.size === 0) this.#onIdle();
  }

  #send(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

if (parentPort === null) throw new Error('this file runs as a worker thread of lbd');
// What main sends as workerData is a WorkerBirth: controlplane/workers.ts is its only author.
await new Worker(parentPort, workerData as WorkerBirth).run();
