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

const FACTORS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };

/** Reads `1000000`, `10MB`, `1.5 GiB`: powers of 1,000 (kB, MB, GB) or of 1,024 (KiB, MiB, GiB); undefined when the text is no such amount. */
export function parseBytes(text: string): bigint | undefined {
  const [, amount, unit = ''] = /^(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]{0,3})$/.exec(text) ?? [];
  const factor = Object.hasOwn(FACTORS, unit.toUpperCase()) ? FACTORS[unit.toUpperCase()] : undefined;
  return amount === undefined || factor === undefined ? undefined : BigInt(Math.round(Number(amount) * factor));
}
