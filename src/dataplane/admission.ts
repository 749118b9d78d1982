/** The limits of one client, asked for one connection. Exact across workers: the cells and counts are shared. */
import type { Logger } from 'pino';
import type { Client, ConnectionRate } from '../domain/model.ts';
import { type Departure, type DepartureBounds, peekDeparture, takeDeparture } from '../domain/ratelimit/departure.ts';
import { type LimitState, limiterInForce, peekLimit } from '../domain/ratelimit/limit-state.ts';
import type { ShadowOutcome } from '../domain/shadow.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import type { DelayedConnections } from './delayed-connections.ts';
import { Refusal } from './refusal.ts';
import type { Ground } from './standing.ts';
import type { ClientView, RateView } from './view.ts';
import type { Waiting } from './waiting.ts';

type Log = Pick<Logger, 'debug'>;

/** Something that is decided by a limit's state. */
type Decide<T> = (state: LimitState, rate: RateView, nowMs: number) => T;

/**
 * What decides in place of the limit: there is none any more; or its cells are on their way here, and until then nobody is admitted by
 * the old ones, which would be a refill.
 */
type InPlaceOfLimit = 'no_limit' | 'on_their_way';

/** When to ask again while cells are on their way. */
const SOON_MS = 1;

/** Holds one of a client's places until it is given back; a second time does nothing. */
export interface Place {
  release(): void;
}

class ClientPlace implements Place {
  readonly #slot: number;
  readonly #lane: LaneWriter;
  #isGivenBack = false;

  constructor(slot: number, lane: LaneWriter) {
    this.#slot = slot;
    this.#lane = lane;
  }

  release(): void {
    if (!this.#isGivenBack) this.#lane.releaseClient(this.#slot);
    this.#isGivenBack = true;
  }
}

export interface AdmissionParts {
  readonly lane: LaneWriter;
  /** Must be the same clock in every worker: the limiter cells hold its readings. */
  readonly nowMs: () => number;
  /** A client's limit in the state of now: a connection that waits may have come by another. */
  readonly rateNow: (clientId: string) => RateView | undefined;
  readonly delayed: DelayedConnections;
  readonly log: Log;
}

export class Admission {
  readonly #lane: LaneWriter;
  readonly #nowMs: () => number;
  readonly #rateNow: (clientId: string) => RateView | undefined;
  readonly #delayed: DelayedConnections;
  readonly #log: Log;

  constructor(parts: AdmissionParts) {
    this.#lane = parts.lane;
    this.#nowMs = parts.nowMs;
    this.#rateNow = parts.rateNow;
    this.#delayed = parts.delayed;
    this.#log = parts.log;
  }

  /**
   * Lets a connection pass its client's limits and takes its place.
   * @throws Refusal `rate_limited`, `too_many_connections`, `client_gone` when the client left while it waited, or why it is not allowed
   * any longer
   */
  async admit(view: ClientView, ground: Ground, waiting: Waiting): Promise<Place> {
    const place = this.#takePlace(view);
    try {
      if (view.rate !== undefined) await this.#passRate(view, view.rate, ground, waiting);
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
    if (held >= limit) return inShadow(client, noPlace(client, held, limit));
    return `${held} of ${limit} connections`;
  }

  /** What {@link admit} would say of the rate now, in words. Uses up nothing. @throws Refusal `rate_limited` */
  peekRate({ client, rate }: ClientView): string {
    if (rate === undefined) return 'no limit';
    const seen = this.#decide(client.clientId, rate, (state, { limit, policy }, nowMs) => ({
      policy,
      nowMs,
      verdict: peekLimit(state, limit, nowMs),
      departure: policy.action === 'delay' ? peekDeparture(state, limit, boundsOf(policy), nowMs) : nowMs,
    }));
    if (seen === 'no_limit') return 'no limit';
    if (seen === 'on_their_way') return inShadow(client, overRate(rate.policy, SOON_MS));
    const { policy, nowMs, verdict, departure } = seen;
    if (typeof departure !== 'number') return inShadow(client, waitedInVain(departure, policy));
    if (this.#delayed.isFull(client.clientId)) return inShadow(client, waitedInVain('line_full', policy));
    if (departure > nowMs) return `it would wait ${Math.ceil(departure - nowMs)} ms${client.limits.shadow ? ' (shadow: it does not)' : ''}`;
    if (!verdict.admitted) return inShadow(client, overRate(policy, verdict.retryAfterMs));
    return `${verdict.remaining} more now, of ${policy.limit} in ${policy.windowMs} ms (${policy.algorithm})`;
  }

  #takePlace({ client, slot }: ClientView): Place {
    const limit = client.limits.concurrentConnections ?? Number.POSITIVE_INFINITY;
    if (!this.#lane.reserveClient(slot, limit)) {
      // Some may have ended since.
      const refusal = noPlace(client, Math.max(limit, this.#lane.clientActive(slot)), limit);
      if (!client.limits.shadow) throw refusal;
      this.#tellShadow(client, slot, 'too_many_connections', refusal.message);
      this.#lane.reserveClient(slot, Number.POSITIVE_INFINITY);
    }
    return new ClientPlace(slot, this.#lane);
  }

  async #passRate({ client, slot }: ClientView, rate: RateView, ground: Ground, waiting: Waiting): Promise<void> {
    const { policy } = rate;
    if (client.limits.shadow) {
      this.#passRateInShadow(client, slot, rate);
    } else if (policy.action !== 'delay') {
      const delayMs = this.#ask(client.clientId, rate);
      if (delayMs !== undefined) throw overRate(policy, delayMs);
    } else {
      const waited = await this.#delayed.wait(ground, () => this.#takeDeparture(client.clientId, rate), waiting);
      if (waited !== 'admitted') throw waitedInVain(waited, policy);
    }
  }

  #passRateInShadow(client: Client, slot: number, rate: RateView): void {
    const { policy } = rate;
    if (policy.action !== 'delay') {
      const delayMs = this.#ask(client.clientId, rate);
      if (delayMs !== undefined) this.#tellShadow(client, slot, 'rate_limited', overRate(policy, delayMs).message);
      return;
    }
    const departure = this.#takeDeparture(client.clientId, rate);
    if (typeof departure !== 'number') this.#tellShadow(client, slot, 'rate_limited', waitedInVain(departure, policy).message);
    else if (departure > this.#nowMs()) this.#tellShadow(client, slot, 'delayed', `for ${Math.ceil(departure - this.#nowMs())} ms`);
  }

  #tellShadow({ clientId }: Client, slot: number, outcome: ShadowOutcome, detail: string): void {
    this.#lane.countShadow(slot, outcome);
    this.#log.debug({ client: clientId, reason: outcome, detail }, outcome === 'delayed' ? 'would be delayed (shadow)' : IN_SHADOW);
  }

  /** undefined: admitted. Otherwise how long until it could be. */
  #ask(clientId: string, rate: RateView): number | undefined {
    const verdict = this.#decide(clientId, rate, (state, { limit }, nowMs) =>
      limiterInForce(state, limit, nowMs).admit(state.cells, nowMs),
    );
    if (verdict === 'on_their_way') return SOON_MS;
    return verdict === 'no_limit' || verdict.admitted ? undefined : verdict.retryAfterMs;
  }

  #takeDeparture(clientId: string, rate: RateView): Departure {
    const departure = this.#decide(clientId, rate, (state, { limit, policy }, nowMs) =>
      takeDeparture(state, limit, boundsOf(policy), nowMs),
    );
    if (departure === 'no_limit') return this.#nowMs();
    return departure === 'on_their_way' ? 'too_long' : departure;
  }

  /** By the limit that the connection came by, unless its cells have moved: then by that of now, as soon as this worker has been told of it. */
  #decide<T>(clientId: string, rate: RateView, decide: Decide<T>): T | InPlaceOfLimit {
    const decided = this.#decideBy(rate, decide);
    if (decided !== undefined) return decided;
    const now = this.#rateNow(clientId);
    return now === undefined ? 'no_limit' : (this.#decideBy(now, decide) ?? 'on_their_way');
  }

  /** undefined: the cells have moved. */
  #decideBy<T>(rate: RateView, decide: Decide<T>): T | undefined {
    return rate.cells.withLock(this.#lane.lane, (state) => decide(state, rate, this.#nowMs()));
  }
}

const IN_SHADOW = 'would be refused (shadow)';

/** What Explain says of a limit that only looks on. @throws Refusal the one given, of a limit that holds */
function inShadow({ limits }: Client, refusal: Refusal): string {
  if (!limits.shadow) throw refusal;
  return `${IN_SHADOW}: ${refusal.reason}, ${refusal.message}`;
}

function noPlace({ clientId }: Client, held: number, limit: number): Refusal {
  return new Refusal('too_many_connections', `${clientId} holds ${held} connections; its limit is ${limit}`);
}

function overRate({ limit, windowMs, action }: ConnectionRate, delayMs: number): Refusal {
  const detail = `over ${limit} in ${windowMs} ms; next in ${Math.ceil(delayMs)} ms`;
  return new Refusal('rate_limited', detail, action === 'close' ? 'close' : 'reset');
}

function waitedInVain(waited: 'too_long' | 'line_full', { maxDelayMs }: ConnectionRate): Refusal {
  return new Refusal('rate_limited', waited === 'line_full' ? 'too many are waiting already' : `would wait longer than ${maxDelayMs} ms`);
}

function boundsOf({ algorithm, limit, burst = limit, maxDelayMs }: ConnectionRate): DepartureBounds {
  return { maxDelayMs, mostWaiting: algorithm === 'leakyBucket' ? burst : undefined };
}
