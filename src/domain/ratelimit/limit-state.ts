/** One limit's state, shared by those who decide by it: each may know another revision of the rule, all count in the same cells. */
import { RATE_ALGORITHMS } from '../model.ts';
import { limiterFor } from './algorithms.ts';
import { carryOver, carryOverUnseen } from './carry-over.ts';
import type { Cells, RateLimiter, Verdict } from './limiter.ts';
import type { RateRule } from './rate-rule.ts';

/** The state, wherever it is held. Only one looks at it or changes it at a time. */
export interface LimitState {
  /** Which rule the cells are counted by; {@link TERMS_WORDS} of them. */
  readonly terms: Cells;
  /** Those of that rule's limiter, or more. */
  readonly cells: Cells;
}

/** A limit as the state of one revision has it. */
export interface RevisedLimit {
  readonly revision: number;
  readonly rule: RateRule;
  /** It only looks on: who is given a departure goes at once. */
  readonly inShadow: boolean;
  readonly limiter: RateLimiter;
}

/** How many words the terms take. */
export const TERMS_WORDS = 7;

/** Enough for every rule but a log, so that an edit among the others finds room. */
const FEWEST_CELLS = 3;

const REVISION = 0;
const ALGORITHM = 1;
const LIMIT = 2;
const WINDOW_MS = 3;
const BURST = 4;
/** Not of the rule: the latest departure that was given ahead of time (departure.ts). */
export const LATEST_DEPARTURE = 5;
const NO_DEPARTURE = 0;
/** Nor this: 1 while the limit only looks on. */
const IN_SHADOW = 6;

/** The limit that `rule` makes, known from `revision` on. */
export function limitAt(revision: number, rule: RateRule, inShadow: boolean): RevisedLimit {
  return { revision, rule, inShadow, limiter: limiterFor(rule) };
}

/** The state of a limit that nobody has used yet, with as many cells as it needs. */
export function unusedState(limit: RevisedLimit): LimitState {
  return stateWith(limit, new Float64Array(Math.max(limit.limiter.words, FEWEST_CELLS)), NO_DEPARTURE);
}

/**
 * Makes `state` one of `limit`, with what was used up by the rule before. When it has not so many cells, it stays as it is, and the state
 * that has them is returned: the count goes on there, and nobody may decide by this one any more.
 */
export function edit(state: LimitState, limit: RevisedLimit, nowMs: number): LimitState | undefined {
  if (!isSame(ruleIn(state.terms), limit.rule) || hasForsaken(state, limit, nowMs)) return carriedInto(state, limit, nowMs);
  writeTerms(state.terms, limit);
  return undefined;
}

/** {@link edit} of a limit that nobody has had since `removedMs`: who waited by it for a departure went then, and is counted as of then. */
export function setAgain(state: LimitState, limit: RevisedLimit, removedMs: number): LimitState | undefined {
  return isAhead(state, removedMs) ? carriedInto(state, limit, removedMs) : edit(state, limit, removedMs);
}

/**
 * {@link edit} for a state that somebody else may be changing. A state that is sure to have cells enough is left alone: the first who decides
 * by the edit carries it over. Otherwise the count goes on in the returned one, with the new limit used up: never a refill.
 */
export function editUnseen({ terms, cells }: LimitState, limit: RevisedLimit, nowMs: number): LimitState | undefined {
  const counted = ruleIn(terms);
  // A log may take over more admissions than its limit is.
  const hasRoom = limit.rule.algorithm !== 'slidingWindowLog' && limit.limiter.words <= cells.length;
  if (hasRoom || isSame(counted, limit.rule)) return undefined;
  return stateWith(limit, carryOverUnseen(counted, cells, limit.rule, nowMs), latestDeparture(terms, nowMs));
}

/**
 * The limiter to decide by now. The first who comes with a newer rule than the cells are counted by carries the count over; who comes with
 * an older one decides by the newer, so an edit that has not reached everybody is neither undone nor carried over twice.
 * @throws Error when a newer rule needs more cells: who made it has not seen to that with {@link edit}
 */
export function limiterInForce(state: LimitState, limit: RevisedLimit, nowMs: number): RateLimiter {
  const revision = state.terms[REVISION] ?? 0;
  if (revision === limit.revision) return limit.limiter;
  if (revision > limit.revision) return limiterFor(ruleIn(state.terms));
  if (edit(state, limit, nowMs) !== undefined) throw new Error(`the cells have no room for the rule of revision ${limit.revision}`);
  return limit.limiter;
}

/** What {@link limiterInForce} would say of an arrival now. Changes nothing. */
export function peekLimit({ terms, cells }: LimitState, limit: RevisedLimit, nowMs: number): Verdict {
  const counted = ruleIn(terms);
  if (isSame(counted, limit.rule)) return limit.limiter.peek(cells, nowMs);
  if ((terms[REVISION] ?? 0) > limit.revision) return limiterFor(counted).peek(cells, nowMs);
  return limit.limiter.peek(carryOver(counted, cells, limit.rule, nowMs), nowMs);
}

/** True when the cells are counted by this rule: what they say of times to come holds for it. */
export function isCountedBy({ terms }: LimitState, { rule }: RevisedLimit): boolean {
  return isSame(ruleIn(terms), rule);
}

/** True when the state is as if nobody had ever come. */
export function isUnused({ terms, cells }: LimitState, nowMs: number): boolean {
  const limiter = limiterFor(ruleIn(terms));
  const now = limiter.peek(cells, nowMs);
  const fresh = limiter.peek(new Float64Array(limiter.words), nowMs);
  return now.admitted && fresh.admitted && now.remaining === fresh.remaining;
}

function carriedInto(state: LimitState, limit: RevisedLimit, atMs: number): LimitState | undefined {
  const carried = carryOver(ruleIn(state.terms), state.cells, limit.rule, atMs);
  const departureMs = latestDeparture(state.terms, atMs);
  if (carried.length > state.cells.length) return stateWith(limit, carried, departureMs);
  fill(state.cells, carried);
  state.terms[LATEST_DEPARTURE] = departureMs;
  writeTerms(state.terms, limit);
  return undefined;
}

function ruleIn(terms: Cells): RateRule {
  const [algorithm, limit = 0, windowMs = 0, burst = 0] = [
    RATE_ALGORITHMS[terms[ALGORITHM] ?? 0],
    terms[LIMIT],
    terms[WINDOW_MS],
    terms[BURST],
  ];
  if (algorithm === undefined || limit === 0) throw new Error('these cells are counted by no rule');
  return { algorithm, limit, windowMs, burst };
}

function isSame(one: RateRule, other: RateRule): boolean {
  return one.algorithm === other.algorithm && one.limit === other.limit && one.windowMs === other.windowMs && one.burst === other.burst;
}

/** Whether departures are still to come for which nobody waits any more: who had them goes at once when a limit is put into shadow, and while it is. */
function hasForsaken(state: LimitState, { inShadow }: RevisedLimit, nowMs: number): boolean {
  return (state.terms[IN_SHADOW] === 1) !== inShadow && isAhead(state, nowMs);
}

/** Whether a departure has been given for later. */
function isAhead({ terms }: LimitState, nowMs: number): boolean {
  return (terms[LATEST_DEPARTURE] ?? NO_DEPARTURE) > nowMs;
}

/** By another rule nobody waits for departures that are still to come. */
function latestDeparture(terms: Cells, nowMs: number): number {
  return Math.min(terms[LATEST_DEPARTURE] ?? NO_DEPARTURE, nowMs);
}

function stateWith(limit: RevisedLimit, cells: Float64Array, departureMs: number): LimitState {
  const terms = new Float64Array(TERMS_WORDS);
  writeTerms(terms, limit);
  terms[LATEST_DEPARTURE] = departureMs;
  return { terms, cells };
}

function fill(cells: Cells, carried: Float64Array): void {
  carried.forEach((value, index) => {
    cells[index] = value;
  });
}

function writeTerms(terms: Cells, { revision, rule, inShadow }: RevisedLimit): void {
  terms[REVISION] = revision;
  terms[ALGORITHM] = RATE_ALGORITHMS.indexOf(rule.algorithm);
  terms[LIMIT] = rule.limit;
  terms[WINDOW_MS] = rule.windowMs;
  terms[BURST] = rule.burst;
  terms[IN_SHADOW] = inShadow ? 1 : 0;
}
