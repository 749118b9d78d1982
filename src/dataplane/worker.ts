/** A worker thread: listens beside its siblings (reusePort), serves connections, swaps snapshots, drains. */
import { createServer, type Server, type Socket } from 'node:net';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { formatAddress, type Listener } from '../domain/model.ts';
import { apply } from '../domain/state.ts';
import { monotonicMs } from '../shared/clock.ts';
import { LaneWriter } from '../shared/memory/lane-writer.ts';
import { type ConnectionQuery, connectionId, type FromWorker, type ToWorker, type WorkerBirth } from '../shared/messages.ts';
import { Admission } from './admission.ts';
import { type ConnectionContext, handleConnection } from './connection.ts';
import { EventFeed } from './event-feed.ts';
import { explain } from './explain.ts';
import { LiveConnections } from './live-connections.ts';
import { createWorkerLog } from './log.ts';
import { HandshakeBudget, offeredAlpn, TlsFront } from './tls.ts';
import { dialTcp } from './upstream.ts';
import { mergeSlots, View } from './view.ts';

class Worker {
  readonly #port: MessagePort;
  readonly #birth: WorkerBirth;
  readonly #lane: LaneWriter;
  readonly #live = new LiveConnections(() => this.#view);
  readonly #events: EventFeed;
  readonly #fronts = new Map<string, TlsFront>();
  readonly #servers = new Map<string, Server>();
  readonly #context: ConnectionContext;
  /** Every accepted socket that is not closed yet, those in the handshake too. */
  readonly #sockets = new Set<Socket>();
  #view: View;
  #onIdle: (() => void) | undefined;
  #drainDeadline: NodeJS.Timeout | undefined;

  constructor(port: MessagePort, birth: WorkerBirth) {
    this.#port = port;
    this.#birth = birth;
    this.#lane = new LaneWriter(birth.memory, birth.lane);
    this.#view = new View(birth.snapshot, birth.slots, this.#lane);
    this.#events = new EventFeed(birth.watched, (events) => this.#send({ kind: 'events', ...events }));
    this.#context = {
      view: () => this.#view,
      lane: this.#lane,
      admission: new Admission(this.#lane, monotonicMs, (clientId) => this.#view.rateOf(clientId)),
      dial: dialTcp,
      timeouts: birth.timeouts,
      nowMs: monotonicMs,
      wallMs: Date.now,
      log: createWorkerLog(birth.logLevel, (lines) => this.#send({ kind: 'log', lines })),
      live: this.#live,
      events: this.#events,
    };
  }

  async run(): Promise<void> {
    this.#port.on('message', (message: ToWorker) => this.#receive(message));
    const budget = new HandshakeBudget(this.#birth.maxPendingHandshakes);
    const { listeners } = this.#view.snapshot;
    // All of them first: new material that comes while the ports are being opened reaches each.
    for (const listener of listeners) this.#fronts.set(listener.name, this.#frontOf(listener, budget));
    const ports = new Map<string, number>();
    for (const listener of listeners) {
      try {
        ports.set(listener.name, await this.#listen(listener));
      } catch (error) {
        const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
        this.#send({ kind: 'listenFailed', listener: listener.name, code, message: `${formatAddress(listener.address)}: ${message}` });
        return;
      }
    }
    this.#send({ kind: 'listening', ports });
  }

  #frontOf(listener: Listener, budget: HandshakeBudget): TlsFront {
    const material = this.#birth.tls.get(listener.name);
    if (material === undefined) throw new Error(`listener ${listener.name} came without TLS material`);
    return new TlsFront({ material, alpn: offeredAlpn(listener), timeoutMs: this.#birth.timeouts.handshakeMs, budget });
  }

  #listen(listener: Listener): Promise<number> {
    const front = this.#fronts.get(listener.name);
    if (front === undefined) throw new Error(`listener ${listener.name} has no front`);
    const server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket, listener.name, front));
    this.#servers.set(listener.name, server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        { host: listener.address.host, port: this.#birth.ports.get(listener.name) ?? listener.address.port, reusePort: true },
        () => {
          server.removeListener('error', reject);
          server.on('error', (err) => this.#context.log.error({ err, listener: listener.name }, 'accept failed'));
          const address = server.address();
          resolve(typeof address === 'object' && address !== null ? address.port : 0);
        },
      );
    });
  }

  #accept(socket: Socket, listenerName: string, front: TlsFront): void {
    if (this.#sockets.size >= this.#birth.maxConnections) {
      this.#turnAway(socket, listenerName);
      return;
    }
    this.#sockets.add(socket);
    void handleConnection(socket, listenerName, front, this.#context).finally(() => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onIdle?.();
    });
  }

  #turnAway(socket: Socket, listener: string): void {
    this.#lane.countReason('overloaded');
    const number = this.#lane.nextNumber();
    const id = connectionId(this.#lane.lane, number);
    const remote = `${socket.remoteAddress}:${socket.remotePort}`;
    const detail = `this worker holds ${this.#sockets.size} connections, as many as the open-file limit allows`;
    const facts = { id, listener, remote };
    this.#context.log.warn({ reason: 'overloaded', ...facts, bytesUp: 0, bytesDown: 0, detail, durationMs: 0 }, 'connection refused');
    const unknown = { clientId: '', fingerprint: '', identity: '', group: '', server: '', openedAtMs: undefined };
    const connection = { ...facts, number, ...unknown, bytesFromClient: 0, bytesToClient: 0 };
    this.#events.add(() => ({ kind: 'refused', atMs: Date.now(), connection, reason: 'overloaded', detail }));
    socket.on('error', () => undefined);
    socket.resetAndDestroy();
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case 'publish': {
        const { snapshot: previous, slots } = this.#view;
        const snapshot = message.commands.reduce(apply, previous);
        this.#view = new View(snapshot, mergeSlots(slots, message.slots, previous, snapshot), this.#lane, this.#view);
        this.#live.pardonTheAllowed();
        this.#send({ kind: 'published', revision: snapshot.revision });
        break;
      }
      case 'tls':
        for (const [name, material] of message.material) this.#fronts.get(name)?.reload(material);
        this.#send({ kind: 'done', requestId: message.requestId, count: message.material.size });
        break;
      case 'close':
        this.#send({ kind: 'done', requestId: message.requestId, count: this.#live.close(message.selector, message.reason) });
        break;
      case 'enforce':
        this.#send({ kind: 'done', requestId: message.requestId, count: this.#live.enforce(message.mode, message.deadlineMs) });
        break;
      case 'list':
        this.#list(message.requestId, message.query);
        break;
      case 'watch':
        this.#events.watch(message.on);
        break;
      case 'taken':
        this.#events.taken();
        break;
      case 'explain':
        void this.#explain(message);
        break;
      case 'logLevel':
        this.#context.log.level = message.level;
        break;
      case 'drain':
        this.#drain(message.deadlineMs);
        break;
    }
  }

  #list(requestId: number, query: ConnectionQuery): void {
    const page = { ...this.#live.list(query), lastNumber: this.#lane.lastNumber };
    this.#send({ kind: 'listed', requestId, page, before: this.#events.takeAll() });
  }

  async #explain({ requestId, question }: Extract<ToWorker, { kind: 'explain' }>): Promise<void> {
    const material = this.#fronts.get(question.listener)?.material;
    if (material === undefined) throw new Error(`main asked about a listener ${question.listener}, which this worker does not serve`);
    const { admission } = this.#context;
    const explanation = await explain(question, { view: this.#view, lane: this.#lane, admission, material });
    this.#send({ kind: 'explained', requestId, explanation });
  }

  /** A second time sets another deadline. */
  #drain(deadlineMs: number): void {
    for (const server of this.#servers.values()) server.close();
    clearTimeout(this.#drainDeadline);
    const finish = (reset: number) => {
      clearTimeout(this.#drainDeadline);
      this.#onIdle = undefined;
      // After the log lines of the last connections, which leave at the end of this turn.
      setImmediate(() => this.#send({ kind: 'drained', reset }));
    };
    this.#drainDeadline = setTimeout(() => {
      const left = this.#sockets.size;
      if (left === 0) return finish(0);
      this.#onIdle = () => finish(left);
      this.#live.closeAll('shutdown');
      // Those that are not served yet, in the handshake or waiting for a server.
      for (const socket of this.#sockets) if (!socket.destroyed) socket.resetAndDestroy();
    }, deadlineMs);
    this.#onIdle = () => finish(0);
    if (this.#sockets.size === 0) finish(0);
  }

  #send(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

if (parentPort === null) throw new Error('this file runs as a worker thread of lbd');
// What main sends as workerData is a WorkerBirth: controlplane/workers.ts is its only author.
await new Worker(parentPort, workerData as WorkerBirth).run();
