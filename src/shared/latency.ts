/** Latency histograms as rows of counters: what a worker writes in its own lane, and how it is read. */

/** Upper bounds of the buckets, in seconds, inclusive; one more takes what is longer. */
export const LATENCY_BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** How many words a histogram takes: its buckets, and the sum of what they counted. */
export const LATENCY_WORDS = LATENCY_BOUNDS_S.length + 2;

const SUM = LATENCY_BOUNDS_S.length + 1;

export interface LatencyTotals {
  /** By bucket, each without those below it; the last is for what is over every bound. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/** Counts one time in the histogram that begins at word `first`. Only one thread may write there. */
export function countLatency(words: Float64Array, first: number, seconds: number): void {
  const bucket = LATENCY_BOUNDS_S.findIndex((bound) => seconds <= bound);
  const word = first + (bucket === -1 ? LATENCY_BOUNDS_S.length : bucket);
  words[word] = (words[word] ?? 0) + 1;
  words[first + SUM] = (words[first + SUM] ?? 0) + seconds;
}

/** What `wordAt`, which reads a word of the histogram, makes of it. */
export function readLatency(wordAt: (index: number) => number): LatencyTotals {
  return { counts: Array.from({ length: SUM }, (_, index) => wordAt(index)), sumSeconds: wordAt(SUM) };
}
