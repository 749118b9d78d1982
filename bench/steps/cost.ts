/** What a step costs, measured by doing it many times. */
import { getHeapStatistics } from 'node:v8';

/** In one run at least; twice as many as there are things to touch, so that what a run finds in the caches is what it left there. */
const STEPS = 5_000;
/** Code is compiled by then. */
const WARM_UP = 12_000;
const ROUNDS = 6;

/** What one step takes. */
export interface StepCost {
  /** CPU time of the process, its garbage collection included: the least of several runs. */
  readonly nanoseconds: number;
  /** Allocated on the JavaScript heap: the least of several runs. */
  readonly bytes: number;
}

/** Does so many steps, the first with this number; numbers go on from run to run. */
export type Run = (first: number, steps: number) => Promise<void> | void;

/** A step that can be measured. */
export interface Rig {
  readonly run: Run;
  /** So many steps more are done before it is measured, so that everything has been touched. */
  readonly touching: number;
}

/** Does a step over and over. */
export function repeating(step: (number: number) => void): Run {
  return (first, steps) => {
    for (let number = first; number < first + steps; number++) step(number);
  };
}

/** The cost of a step of each; they take turns, so that what else the machine does meets all of them. */
export async function costsOf(rigs: readonly Rig[]): Promise<readonly StepCost[]> {
  const measured = rigs.map((rig) => ({
    ...rig,
    steps: Math.max(STEPS, 2 * rig.touching),
    next: WARM_UP + rig.touching,
    nanoseconds: Number.POSITIVE_INFINITY,
    bytes: Number.POSITIVE_INFINITY,
  }));
  for (const { run, next } of measured) await run(0, next);
  for (let round = 0; round < ROUNDS; round++) {
    for (const each of measured) {
      const allocated = getHeapStatistics().total_allocated_bytes;
      const before = process.cpuUsage();
      await each.run(each.next, each.steps);
      const { user, system } = process.cpuUsage(before);
      each.next += each.steps;
      each.nanoseconds = Math.min(each.nanoseconds, ((user + system) * 1_000) / each.steps);
      each.bytes = Math.min(each.bytes, (getHeapStatistics().total_allocated_bytes - allocated) / each.steps);
    }
  }
  return measured.map(({ nanoseconds, bytes }) => ({ nanoseconds: Math.round(nanoseconds), bytes: Math.round(bytes) }));
}
