/** One limit's state, shared by those who decide by it: each may know another revision of the rule, all count in the same cells. */
import { RATE_ALGORITHMS } from '../model.ts';
import { limiterFor } from './algorithms.ts';
import { carryOver } from './carry-over.ts';
import type { Cells, RateLimiter, Verdict } from './limiter.ts';
import type { RateRule } from './rate-rule.ts';

/** The state, wherever it is held. Only one looks at it or changes it at a time. */
export interface LimitState {
  /** Which rule the cells are counted by; {@link TERMS_WORDS} of them, all zero at first. */
  readonly terms: Cells;
  /** Those of that rule's limiter. */
  readonly cells: Cells;
  /** Makes sure that there are at least so many cells, and keeps what is in them. */
  fit(words: number): void;
}

/** A limit as the state of one revision has it. */
export interface RevisedLimit {
  readonly revision: number;
  readonly rule: RateRule;
  readonly limiter: RateLimiter;
}

/** How many words the terms take. */
export const TERMS_WORDS = 6;

const REVISION = 0;
const ALGORITHM = 1;
const LIMIT = 2;
const WINDOW_MS = 3;
const BURST = 4;
/** Not of the rule: the latest departure that was given ahead of time (departure.ts). */
export const LATEST_DEPARTURE = 5;

/** The limit that `rule` makes, known from `revision` on. */
export function limitAt(revision: number, rule: RateRule): RevisedLimit {
  return { revision, rule, limiter: limiterFor(rule) };
}

/**
 * The limiter to decide by now. The first who comes with a newer rule than the cells are counted by carries the count over; who comes with
 * an older one decides by the newer, so an edit that has not reached everybody is neither undone nor carried over twice.
 */
export function limiterInForce(state: LimitState, limit: RevisedLimit, nowMs: number): RateLimiter {
  const revision = state.terms[REVISION] ?? 0;
  if (revision === limit.revision) return limit.limiter;
  const counted = ruleIn(state.terms);
  if (revision > limit.revision) return counted === undefined ? limit.limiter : limiterFor(counted);
  if (counted === undefined) state.fit(limit.limiter.words);
  else if (!isSame(counted, limit.rule)) refill(state, carryOver(counted, state.cells, limit.rule, nowMs));
  writeTerms(state.terms, limit);
  return limit.limiter;
}

/** What {@link limiterInForce} would say of an arrival now. Changes nothing. */
export function peekLimit({ terms, cells }: LimitState, limit: RevisedLimit, nowMs: number): Verdict {
  const counted = ruleIn(terms);
  if (counted === undefined || isSame(counted, limit.rule)) return limit.limiter.peek(cells, nowMs);
  if ((terms[REVISION] ?? 0) > limit.revision) return limiterFor(counted).peek(cells, nowMs);
  return limit.limiter.peek(carryOver(counted, cells, limit.rule, nowMs), nowMs);
}

/** True when the state is as if nobody had ever come. */
export function isUnused({ terms, cells }: LimitState, nowMs: number): boolean {
  const counted = ruleIn(terms);
  if (counted === undefined) return true;
  const limiter = limiterFor(counted);
  const now = limiter.peek(cells, nowMs);
  const fresh = limiter.peek(new Float64Array(limiter.words), nowMs);
  return now.admitted && fresh.admitted && now.remaining === fresh.remaining;
}

function ruleIn(terms: Cells): RateRule | undefined {
  const [algorithm, limit = 0, windowMs = 0, burst = 0] = [
    RATE_ALGORITHMS[terms[ALGORITHM] ?? 0],
    terms[LIMIT],
    terms[WINDOW_MS],
    terms[BURST],
  ];
  return algorithm === undefined || limit === 0 ? undefined : { algorithm, limit, windowMs, burst };
}

function isSame(one: RateRule, other: RateRule): boolean {
  return one.algorithm === other.algorithm && one.limit === other.limit && one.windowMs === other.windowMs && one.burst === other.burst;
}

function refill(state: LimitState, carried: Float64Array): void {
  state.fit(carried.length);
  carried.forEach((value, index) => {
    state.cells[index] = value;
  });
}

function writeTerms(terms: Cells, { revision, rule }: RevisedLimit): void {
  terms[REVISION] = revision;
  terms[ALGORITHM] = RATE_ALGORITHMS.indexOf(rule.algorithm);
  terms[LIMIT] = rule.limit;
  terms[WINDOW_MS] = rule.windowMs;
  terms[BURST] = rule.burst;
}
