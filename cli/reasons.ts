import type { ReasonCount } from '../src/gen/lb/admin/v1/admin.ts';

/** Why connections were refused, then why others ended, the most frequent first: `refused: rate_limited 5; ended: client_closed 3`. */
export function reasonsText(byReason: readonly ReasonCount[]): string {
  const most = byReason.filter(({ count }) => count > 0n).sort((a, b) => Number(b.count - a.count));
  const part = (title: string, reasons: readonly ReasonCount[]) =>
    reasons.length === 0 ? [] : [`${title}: ${reasons.map(({ reason, count }) => `${reason} ${count}`).join(', ')}`];
  const refused = most.filter((each) => each.refused);
  const ended = most.filter((each) => !each.refused);
  return [...part('refused', refused), ...part('ended', ended)].join('; ');
}
