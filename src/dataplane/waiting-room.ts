/** Where a worker's connections wait for a place on a server. Whose turn it is, over all workers, says the shared queue. */
import { MOST_WAITING } from '../domain/queue.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { groupNamed } from './gates.ts';
import { Refusal } from './refusal.ts';
import { obstacleTo } from './server-view.ts';
import { type Ground, objectionTo } from './standing.ts';
import { noneOf, type Reservation, reserve } from './upstream.ts';
import type { GroupView, View } from './view.ts';
import { judgeAnew, type Waiting } from './waiting.ts';

/** A connection of this worker in the queue of its group. */
interface Waiter {
  readonly row: number;
  readonly ground: Ground;
  readonly groupSlot: number;
  readonly sinceMs: number;
  readonly stillTrusted: Waiting['stillTrusted'];
  deadline: NodeJS.Timeout | undefined;
  /** Ends the wait: with a place, which it has from then on, or without. */
  settle(outcome: Reservation | Refusal): void;
}

export interface WaitingRoomOptions {
  readonly lane: LaneWriter;
  /** The state of now. */
  readonly view: () => View;
  readonly nowMs: () => number;
}

export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  /** By their rows in the queue. */
  readonly #waiters = new Map<number, Waiter>();
  #isListening = false;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
    // A predecessor may have died with connections in the queue.
    options.lane.queue.clearLane();
  }

  /**
   * Takes a place of a server of the group; while all that are usable are full, waits for one where the group lets connections wait.
   * @throws Refusal `no_healthy_upstream`, `queue_full`, `queue_timeout`, `client_gone`, or why it is not allowed any longer
   */
  async reserve(ground: Ground, clientSlot: number, waiting: Waiting): Promise<Reservation> {
    const { lane, view } = this.#options;
    const group = groupNamed(ground.group, view());
    const { queue } = group.group;
    // Nobody overtakes those who wait.
    if (queue === undefined || lane.queue.length(group.slot) === 0) {
      const reservation = reserve(group, ground, lane);
      if (reservation !== undefined) return reservation;
      if (queue === undefined || !isFull(group)) throw new Refusal('no_healthy_upstream', noneOf(group));
    }
    const row = lane.queue.join(group.slot, clientSlot, queue.maxLength);
    if (row === undefined) throw queueFull(group, lane);
    return this.#wait(row, ground, group.slot, waiting);
  }

  /** What {@link reserve} would do with a connection for which there is no place now, in words. @throws Refusal as reserve does */
  peek(group: GroupView, clientSlot: number): string {
    const { queue } = group.group;
    const { lane } = this.#options;
    const waiting = lane.queue.length(group.slot);
    if (queue === undefined || (waiting === 0 && !isFull(group))) throw new Refusal('no_healthy_upstream', noneOf(group));
    if (waiting >= queue.maxLength) throw queueFull(group, lane);
    const ahead = lane.queue.aheadOf(group.slot, clientSlot);
    return `every server is full: it would wait for at most ${queue.timeoutMs} ms, ${ahead} before it; ${waiting} of ${queue.maxLength} wait`;
  }

  /** Whether a connection that came now would wait behind others, whatever the servers have room for. */
  hasQueue({ group, slot }: GroupView): boolean {
    return group.queue !== undefined && this.#options.lane.queue.length(slot) > 0;
  }

  /**
   * Call it when the state has changed: who may not wait any longer leaves, and servers may have room that had none. Says how many it ends
   * because what let them in is withdrawn, or the queue is.
   */
  reconsider(): number {
    let ended = 0;
    for (const waiter of [...this.#waiters.values()]) {
      const refusal = objectionTo(waiter.ground, this.#options.view()) ?? this.#nothingToWaitFor(waiter);
      if (refusal === undefined) this.#setDeadline(waiter);
      else {
        waiter.settle(refusal);
        ended++;
      }
    }
    this.#serveAll();
    return ended;
  }

  /** Call it when the balancer stops and lets nobody wait any longer. */
  dismissAll(): void {
    for (const waiter of [...this.#waiters.values()])
      waiter.settle(new Refusal('queue_timeout', `${waiter.ground.group}: the load balancer stopped before a server had a place`));
  }

  /**
   * Call it when a CA or a revocation list has changed: whose certificate is withdrawn by it does not wait for its turn to hear so, and
   * `onEnded` hears of each.
   */
  rejudge(onEnded: () => void): Promise<void> {
    return judgeAnew(this.#waiters.values(), (waiter, refusal) => {
      // Its turn may have come meanwhile; then it is judged once more before it is served.
      if (this.#waiters.get(waiter.row) !== waiter) return;
      waiter.settle(refusal);
      onEnded();
    });
  }

  #wait(row: number, ground: Ground, groupSlot: number, { gone, stillTrusted, onWaits, onWaited }: Waiting): Promise<Reservation> {
    const { lane, nowMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Reservation>();
    const onGone = () => waiter.settle(new Refusal('client_gone', 'the client left while it waited for a place'));
    const waiter: Waiter = {
      row,
      ground,
      groupSlot,
      sinceMs: nowMs(),
      stillTrusted,
      deadline: undefined,
      settle: (outcome) => {
        clearTimeout(waiter.deadline);
        gone.removeEventListener('abort', onGone);
        this.#waiters.delete(row);
        const waitedMs = nowMs() - waiter.sinceMs;
        onWaited(waitedMs);
        if (outcome instanceof Refusal) {
          lane.queue.leave(groupSlot, row);
          reject(outcome);
        } else {
          lane.queue.serve(groupSlot, row);
          lane.countQueued(waitedMs / 1000);
          resolve(outcome);
        }
      },
    };
    this.#waiters.set(row, waiter);
    void this.#listen();
    this.#setDeadline(waiter);
    gone.addEventListener('abort', onGone);
    if (gone.aborted) onGone();
    // A place may have come free before it stood in the queue; if others are before it, they were called.
    else if (lane.queue.first(groupSlot)?.isMine === true) this.#serve(groupSlot);
    // Who got a place at once has not waited.
    if (this.#waiters.get(row) === waiter) onWaits(waiter.settle);
    return promise;
  }

  /** As long as somebody waits here, looks when it is called. */
  async #listen(): Promise<void> {
    if (this.#isListening) return;
    this.#isListening = true;
    const { queue } = this.#options.lane;
    while (this.#waiters.size > 0) {
      const seen = queue.calls;
      this.#serveAll();
      if (this.#waiters.size > 0) await queue.calledAfter(seen);
    }
    this.#isListening = false;
  }

  #serveAll(): void {
    for (const groupSlot of new Set([...this.#waiters.values()].map((waiter) => waiter.groupSlot))) this.#serve(groupSlot);
  }

  /** Gives out what places there are, one after the other to whose turn it is; when that is in another worker, it is called. */
  #serve(groupSlot: number): void {
    const { lane, view } = this.#options;
    for (;;) {
      const first = lane.queue.first(groupSlot);
      if (first === undefined) return;
      if (!first.isMine) {
        lane.queue.callFirst(groupSlot);
        return;
      }
      const waiter = this.#waiters.get(first.row);
      // It is being settled right now.
      if (waiter === undefined) return;
      const group = view().group(waiter.ground.group);
      const reservation = group === undefined ? undefined : reserve(group, waiter.ground, lane);
      if (reservation !== undefined) waiter.settle(reservation);
      else if (group === undefined || isFull(group)) return;
      else waiter.settle(new Refusal('no_healthy_upstream', noneOf(group)));
    }
  }

  /** The group or its queue is gone. */
  #nothingToWaitFor({ ground, groupSlot }: Waiter): Refusal | undefined {
    const group = this.#options.view().group(ground.group);
    if (group === undefined || group.slot !== groupSlot) return new Refusal('no_route', `target group ${ground.group} was removed`);
    if (group.group.queue === undefined) return new Refusal('no_healthy_upstream', `${ground.group}: the queue was removed`);
    return undefined;
  }

  /** From the beginning of its wait, by the time that the queue gives now. */
  #setDeadline(waiter: Waiter): void {
    const { view, nowMs } = this.#options;
    const timeoutMs = view().group(waiter.ground.group)?.group.queue?.timeoutMs ?? 0;
    const refusal = () => new Refusal('queue_timeout', `${waiter.ground.group}: no server had a place within ${timeoutMs} ms`);
    clearTimeout(waiter.deadline);
    waiter.deadline = setTimeout(() => waiter.settle(refusal()), Math.max(0, Math.ceil(waiter.sinceMs + timeoutMs - nowMs())));
  }
}

/** Whether a server would take connections if it had a place for them. */
function isFull({ servers }: GroupView): boolean {
  return servers.some((server) => obstacleTo(server, server.health()) === 'full');
}

function queueFull({ group, slot }: GroupView, { queue }: LaneWriter): Refusal {
  const waiting = queue.length(slot);
  const bound =
    group.queue === undefined || waiting < group.queue.maxLength ? `${MOST_WAITING} of all groups, as many as can` : 'as many as may';
  return new Refusal('queue_full', `${group.name}: every server is full, and ${waiting} connections wait, ${bound}`);
}
