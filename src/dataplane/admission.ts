/** The limits of one client, asked for one connection. Exact across workers: the cells and counts are shared. */
import type { Client, ConnectionRate } from '../domain/model.ts';
import { limiterInForce, peekLimit } from '../domain/ratelimit/limit-state.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { type DelayBounds, DelayLines, type Waited } from './delay-line.ts';
import { once } from './once.ts';
import { Refusal } from './refusal.ts';
import type { ClientView, RateView } from './view.ts';

/** Holds one of a client's places until it is given back; a second time does nothing. */
export interface Place {
  release(): void;
}

export class Admission {
  readonly #lane: LaneWriter;
  readonly #nowMs: () => number;
  readonly #lines = new DelayLines();

  /** `nowMs` must be the same clock in every worker: the limiter cells hold its readings. */
  constructor(lane: LaneWriter, nowMs: () => number) {
    this.#lane = lane;
    this.#nowMs = nowMs;
  }

  /**
   * Lets a connection pass its client's limits and takes its place.
   * @throws Refusal `rate_limited`, `too_many_connections`, or `client_gone` when the client left while it waited.
   */
  async admit(view: ClientView, gone: AbortSignal): Promise<Place> {
    const place = this.#takePlace(view);
    try {
      if (view.rate !== undefined) await this.#passRate(view.client.clientId, view.rate, gone);
      return place;
    } catch (error) {
      place.release();
      throw error;
    }
  }

  /** What {@link admit} would say of the places now, in words. Takes none. @throws Refusal `too_many_connections` */
  peekPlace({ client, slot }: ClientView): string {
    const limit = client.limits.concurrentConnections;
    const held = this.#lane.clientActive(slot);
    if (limit === undefined) return `${held} connections, no limit`;
    if (held >= limit) throw noPlace(client, limit);
    return `${held} of ${limit} connections`;
  }

  /** What {@link admit} would say of the rate now, in words. Uses up nothing. @throws Refusal `rate_limited` */
  peekRate({ client, rate }: ClientView): string {
    if (rate === undefined) return 'no limit';
    const { limit, cells, policy } = rate;
    const verdict = cells.withLock(this.#lane.lane, (state) => peekLimit(state, limit, this.#nowMs()));
    const delayMs = verdict.admitted ? undefined : verdict.retryAfterMs;
    if (policy.action !== 'delay') {
      if (delayMs !== undefined) throw overRate(policy, delayMs);
    } else {
      const waiting = this.#lines.waiting(client.clientId);
      if (waiting >= delayBounds(policy).mostWaiting) throw waitedInVain('line_full', policy);
      if (waiting > 0) return `it would wait its turn behind ${waiting} others in this worker, for at most ${policy.maxDelayMs} ms`;
      if (delayMs !== undefined && delayMs > policy.maxDelayMs) throw waitedInVain('too_long', policy);
      if (delayMs !== undefined) return `it would wait ${Math.ceil(delayMs)} ms`;
    }
    return `${verdict.admitted ? verdict.remaining : 0} more now, of ${policy.limit} in ${policy.windowMs} ms (${policy.algorithm})`;
  }

  #takePlace({ client, slot }: ClientView): Place {
    const limit = client.limits.concurrentConnections ?? Number.POSITIVE_INFINITY;
    if (!this.#lane.reserveClient(slot, limit)) throw noPlace(client, limit);
    return { release: once(() => this.#lane.releaseClient(slot)) };
  }

  async #passRate(clientId: string, rate: RateView, gone: AbortSignal): Promise<void> {
    const { policy } = rate;
    if (policy.action !== 'delay') {
      const delayMs = this.#ask(rate);
      if (delayMs === undefined) return;
      throw overRate(policy, delayMs);
    }
    const waited = await this.#lines.wait(clientId, () => this.#ask(rate), delayBounds(policy), gone, this.#nowMs);
    if (waited === 'gone') throw new Refusal('client_gone', 'the client left while it waited for its turn');
    if (waited !== 'admitted') throw waitedInVain(waited, policy);
  }

  /** undefined: admitted. Otherwise how long until it could be. */
  #ask({ limit, cells }: RateView): number | undefined {
    const verdict = cells.withLock(this.#lane.lane, (state) => {
      const nowMs = this.#nowMs();
      return limiterInForce(state, limit, nowMs).admit(state.cells, nowMs);
    });
    return verdict.admitted ? undefined : verdict.retryAfterMs;
  }
}

function noPlace({ clientId }: Client, limit: number): Refusal {
  return new Refusal('too_many_connections', `${clientId} holds ${limit} connections already`);
}

function overRate({ limit, windowMs, action }: ConnectionRate, delayMs: number): Refusal {
  const detail = `over ${limit} in ${windowMs} ms; next in ${Math.ceil(delayMs)} ms`;
  return new Refusal('rate_limited', detail, action === 'close' ? 'close' : 'reset');
}

function waitedInVain(waited: Exclude<Waited, 'admitted' | 'gone'>, { maxDelayMs }: ConnectionRate): Refusal {
  return new Refusal('rate_limited', waited === 'line_full' ? 'too many are waiting already' : `would wait longer than ${maxDelayMs} ms`);
}

/** What keeps the other algorithms' lines bounded; a leaky bucket brings its own bound. */
const MOST_WAITING = 1_000;

function delayBounds({ algorithm, burst, maxDelayMs }: ConnectionRate): DelayBounds {
  return { maxDelayMs, mostWaiting: algorithm === 'leakyBucket' ? Math.min(burst, MOST_WAITING) : MOST_WAITING };
}
