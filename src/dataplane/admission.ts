/** The limits of one client, asked for one connection. Exact across workers: the cells and counts are shared. */

import type { ConnectionRate } from '../domain/model.ts';
import type { LaneWriter } from '../shared/memory.ts';
import { type DelayBounds, DelayLine } from './delay-line.ts';
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
  readonly #lines = new Map<string, DelayLine>();

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

  #takePlace({ client, slot }: ClientView): Place {
    const limit = client.limits.concurrentConnections ?? Number.POSITIVE_INFINITY;
    if (!this.#lane.reserveClient(slot, limit))
      throw new Refusal('too_many_connections', `${client.clientId} holds ${limit} connections already`);
    return { release: once(() => this.#lane.releaseClient(slot)) };
  }

  async #passRate(clientId: string, rate: RateView, gone: AbortSignal): Promise<void> {
    const { policy } = rate;
    if (policy.action !== 'delay') {
      const delayMs = this.#ask(rate);
      if (delayMs === undefined) return;
      throw new Refusal('rate_limited', `over ${policy.limit} in ${policy.windowMs} ms; next in ${Math.ceil(delayMs)} ms`, policy.action);
    }
    const waited = await this.#line(clientId).wait(() => this.#ask(rate), delayBounds(policy), gone, this.#nowMs);
    if (waited === 'gone') throw new Refusal('client_gone', 'the client left while it waited for its turn');
    if (waited !== 'admitted')
      throw new Refusal(
        'rate_limited',
        waited === 'line_full' ? 'too many are waiting already' : `would wait longer than ${policy.maxDelayMs} ms`,
      );
  }

  /** undefined: admitted. Otherwise how long until it could be. */
  #ask({ limiter, cells }: RateView): number | undefined {
    const verdict = cells.withLock(this.#lane.lane, (state) => limiter.admit(state, this.#nowMs()));
    return verdict.admitted ? undefined : verdict.retryAfterMs;
  }

  #line(clientId: string): DelayLine {
    const known = this.#lines.get(clientId);
    if (known !== undefined) return known;
    const line = new DelayLine();
    this.#lines.set(clientId, line);
    return line;
  }
}

/** What keeps the other algorithms' lines bounded; a leaky bucket brings its own bound. */
const MOST_WAITING = 1_000;

function delayBounds({ algorithm, burst, maxDelayMs }: ConnectionRate): DelayBounds {
  return { maxDelayMs, mostWaiting: algorithm === 'leakyBucket' ? Math.min(burst, MOST_WAITING) : MOST_WAITING };
}
