/** The time of messages, and what grows between two of them. */

interface Dated {
  readonly at?: Date | undefined;
}

/** The time of day in UTC: `12:34:56Z`. */
export function timeOf(at: Date | undefined): string {
  return at === undefined ? '' : `${at.toISOString().slice(11, 19)}Z`;
}

/** Between two snapshots; undefined when there are not two. */
export function secondsBetween(before: Dated | undefined, now: Dated | undefined): number | undefined {
  if (before?.at === undefined || now?.at === undefined) return undefined;
  const seconds = (now.at.getTime() - before.at.getTime()) / 1_000;
  return seconds > 0 ? seconds : undefined;
}

/** Undefined where there is nothing to compare with, and after a restart of lbd, when counters begin at 0 again. */
export function perSecond(before: bigint | undefined, now: bigint | undefined, seconds: number | undefined): number | undefined {
  if (before === undefined || now === undefined || seconds === undefined || now < before) return undefined;
  return Number(now - before) / seconds;
}
