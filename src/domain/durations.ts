const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

const PART = String.raw`\d{1,9}(?:\.\d{1,6})?`;

/** What a duration looks like, for JSON Schema: `250ms`, `5s`, `1h30m`, `1d`; the larger unit comes first. */
export const DURATION_PATTERN = `^(?=.)${UNITS.map(([unit]) => `(?:${PART}${unit})?`).join('')}$`;

const DURATION = new RegExp(`^(?=.)${UNITS.map(([unit]) => `(?:(${PART})${unit})?`).join('')}$`);

/** Milliseconds in `text`, or what is wrong with it. A bare number has no unit and is refused. */
export function parseDuration(text: string): number | { readonly problem: string } {
  const match = DURATION.exec(text);
  if (match === null) {
    return { problem: /^\d+(?:\.\d+)?$/.test(text) ? `add a unit: ${text}s or ${text}ms` : 'units are ms, s, m, h, d, the largest first' };
  }
  const totalMs = UNITS.reduce((sum, [, unitMs], index) => sum + Number(match[index + 1] ?? 0) * unitMs, 0);
  return Number.isInteger(totalMs) ? totalMs : { problem: 'the smallest unit is one whole millisecond' };
}

/** `90000` -> `1m30s`; 0 -> `0s`. */
export function formatDuration(totalMs: number): string {
  let restMs = totalMs;
  let text = '';
  for (const [unit, unitMs] of UNITS) {
    const count = Math.floor(restMs / unitMs);
    if (count > 0) text += `${count}${unit}`;
    restMs -= count * unitMs;
  }
  return text === '' ? '0s' : text;
}
