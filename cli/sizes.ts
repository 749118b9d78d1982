const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** An amount of bytes in at most seven characters, in powers of 1,000: `999 B`, `1.2 KB`, `340 MB`. */
export function formatBytes(bytes: bigint | number): string {
  let amount = Number(bytes);
  let unit = 0;
  // Not 1,000: what rounds up to it takes the next unit.
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1_000;
    unit++;
  }
  return `${unit === 0 || amount >= 99.5 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`;
}
