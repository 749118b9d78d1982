/** How even and how stable the Maglev tables of this load balancer are, measured on the tables themselves. */
import { maglevTable, tableSize } from '../src/domain/balancing/maglev.ts';
import { markdownTable } from './markdown.ts';

const servers = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ address: `10.0.${index >> 8}.${index & 255}:80`, weight: 1 }));

/** The fullest and the emptiest server beside the average, in percent. */
export function evenness(count: number, size: number): { readonly above: number; readonly below: number } {
  const shares = new Array<number>(count).fill(0);
  for (const place of maglevTable(servers(count), size)) shares[place] = (shares[place] ?? 0) + 1;
  const average = size / count;
  return { above: (Math.max(...shares) / average - 1) * 100, below: (1 - Math.min(...shares) / average) * 100 };
}

/**
 * Percent of all entries that change server although theirs has stayed, when `gone` of `count` servers leave the configuration.
 */
export function disruption(count: number, size: number, gone: number): number {
  const before = servers(count);
  // Spread over the list, as failures are.
  const step = Math.floor(count / gone);
  const staying = before.filter((_, index) => index % step !== 0 || index / step >= gone);
  const [old, now] = [maglevTable(before, size), maglevTable(staying, size)];
  const names = new Set(staying.map(({ address }) => address));
  let moved = 0;
  for (const [entry, place] of old.entries()) {
    const name = before[place]?.address ?? '';
    if (names.has(name) && staying[now[entry] ?? 0]?.address !== name) moved++;
  }
  return (moved / size) * 100;
}

const percent = (value: number) => `${value.toFixed(1)} %`;

/** For pools of these sizes, with the table that they get, and with the two sizes of the paper. */
export function maglevFigures(): string {
  const pools: readonly (readonly [number, number])[] = [
    [10, tableSize(10)],
    [100, tableSize(100)],
    [655, tableSize(655)],
    [1000, 65_537],
    [1000, 655_373],
    [10_000, tableSize(10_000)],
  ];
  const rows = pools.map(([count, size]) => {
    const { above, below } = evenness(count, size);
    const onePercent = Math.max(1, count / 100);
    return [
      count.toLocaleString('en'),
      size.toLocaleString('en'),
      percent(above),
      percent(below),
      size > 100 * count ? 'at most 1 %' : '',
      percent(disruption(count, size, 1)),
      percent(disruption(count, size, onePercent)),
    ];
  });
  return markdownTable(
    ['servers', 'entries', 'fullest above average', 'emptiest below', 'the paper (M > 100 N)', 'moved needlessly, 1 gone', '1 % gone'],
    rows,
  );
}
