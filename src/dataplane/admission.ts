/** The limits of one client, asked for one connection. Exact across workers: the cells and counts are shared. */
import type { Client, ConnectionRate } from '../domain/model.ts';
import { type LimitState, limiterInForce, peekLimit, type RevisedLimit } from '../domain/ratelimit/limit-state.ts';
import type { Verdict } from '../domain/ratelimit/limiter.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { type DelayBounds, DelayLines, type Waited } from './delay-line.ts';
import { once } from './once.ts';
import { Refusal } from './refusal.ts';
import type { ClientView, RateView } from './view.ts';

type Decide = (state: LimitState, limit: RevisedLimit, nowMs: number) => Verdict;

const admitOne: Decide = (state, limit, nowMs) => limiterInForce(state, limit, nowMs).admit(state.cells, nowMs);

/** While the cells of an edited limit are on their way here nobody is admitted by the old ones: that would be a refill. */
const ON_THEIR_WAY: Verdict = { admitted: false, retryAfterMs: 1 };

/** Holds one of a client's places until it is given back; a second time does nothing. */
export interface Place {
  release(): void;
}

export class Admission {
  readonly #lane: LaneWriter;
  readonly #nowMs: () => number;
  readonly #rateNow: (clientId: string) => RateView | undefined;
  readonly #lines = new DelayLines();

  /**
   * `nowMs` must be the same clock in every worker: the limiter cells hold its readings. `rateNow` gives a client's limit in the state of
   * now: one that waits may have come by another.
   */
  constructor(lane: LaneWriter, nowMs: () => number, rateNow: (clientId: string) => RateView | undefined) {
    this.#lane = lane;
    this.#nowMs = nowMs;
    this.#rateNow = rateNow;
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
    const { policy } = rate;
    const verdict = this.#decide(client.clientId, rate, peekLimit);
    if (verdict === 'no limit') return verdict;
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
      const delayMs = this.#ask(clientId, rate);
      if (delayMs === undefined) return;
      throw overRate(policy, delayMs);
    }
    const waited = await this.#lines.wait(clientId, () => this.#ask(clientId, rate), delayBounds(policy), gone, this.#nowMs);
    if (waited === 'gone') throw new Refusal('client_gone', 'the client left while it waited for its turn');
    if (waited !== 'admitted') throw waitedInVain(waited, policy);
  }

  /** undefined: admitted. Otherwise how long until it could be. */
  #ask(clientId: string, rate: RateView): number | undefined {
    const verdict = this.#decide(clientId, rate, admitOne);
    return verdict === 'no limit' || verdict.admitted ? undefined : verdict.retryAfterMs;
  }

  /** By the limit that the connection came by, unless its cells have moved: then by that of now, as soon as this worker has been told of it. */
  #decide(clientId: string, rate: RateView, decide: Decide): Verdict | 'no limit' {
    const verdict = this.#decideBy(rate, decide);
    if (verdict !== undefined) return verdict;
    const now = this.#rateNow(clientId);
    return now === undefined ? 'no limit' : (this.#decideBy(now, decide) ?? ON_THEIR_WAY);
  }

  /** undefined: the cells have moved. */
  #decideBy({ limit, cells }: RateView, decide: Decide): Verdict | undefined {
    return cells.withLock(this.#lane.lane, (state) => decide(state, limit, this.#nowMs()));
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
