/** Reads Prometheus' text format, and says what in it is against the conventions (as `promtool check metrics` does). */

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly series: readonly Series[];
}

const LINE = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (?<value>\S+)$/;
const LABEL = /(?<name>[a-zA-Z_]\w*)="(?<value>(?:[^"\\\n]|\\[\\"n])*)",?/g;

/** @throws for text that is not the format: a line that does not parse, a sample without HELP and TYPE, a series that comes twice */
export function parseMetrics(text: string): readonly Family[] {
  if (!text.endsWith('\n')) throw new Error('the text does not end with a newline');
  const families: (Family & { readonly series: Series[] })[] = [];
  const seen = new Set<string>();
  let help: { readonly name: string; readonly text: string } | undefined;
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const said = /^# (?<kind>HELP|TYPE) (?<name>\S+) (?<rest>.+)$/.exec(line)?.groups;
    if (said?.['kind'] === 'HELP') help = { name: said['name'] ?? '', text: said['rest'] ?? '' };
    else if (said?.['kind'] === 'TYPE') {
      const name = said['name'] ?? '';
      if (help?.name !== name || families.some((family) => family.name === name)) throw new Error(`${name} has no HELP, or comes twice`);
      families.push({ name, help: help.text, type: said['rest'] ?? '', series: [] });
    } else {
      const family = families.at(-1);
      const sample = parseSample(line);
      if (family === undefined || !belongs(sample.name, family)) throw new Error(`without a TYPE before it: ${line}`);
      const key = line.slice(0, line.lastIndexOf(' '));
      if (seen.has(key)) throw new Error(`a series that comes twice: ${key}`);
      seen.add(key);
      family.series.push(sample);
    }
  }
  return families;
}

/** The value of one series. @throws when there is none */
export function seriesValue(families: readonly Family[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  const series = families.flatMap((family) => family.series).filter((each) => each.name === name);
  const fits = series.filter((each) => Object.entries(labels).every(([label, value]) => each.labels[label] === value));
  const [only, ...others] = fits;
  if (only === undefined || others.length > 0) throw new Error(`${fits.length} series are ${name} ${JSON.stringify(labels)}`);
  return only.value;
}

/** What is against the conventions: https://prometheus.io/docs/practices/naming/ */
export function lintMetrics(families: readonly Family[]): string[] {
  const problems: string[] = [];
  for (const { name, help, type, series } of families) {
    const says = (problem: string) => problems.push(`${name}: ${problem}`);
    if (!/^[a-z][a-z0-9_]*$/.test(name)) says('names are in lower case with underscores');
    if (type === 'counter' && !name.endsWith('_total')) says('counters end with _total');
    if (type !== 'counter' && name.endsWith('_total')) says('only counters end with _total');
    if (/_(?:ms|milliseconds|minutes|hours|kb|kilobytes|mb|megabytes|percent)(?:_|$)/.test(name))
      says('units are base units: seconds, bytes, ratio');
    if (/_(?:counter|gauge|histogram)(?:_|$)/.test(name)) says('the type is not part of the name');
    if (/_(?:count|sum|bucket)$/.test(name)) says('this ending is for parts of a histogram');
    if (help.trim() === '') says('it has no help');
    for (const label of new Set(series.flatMap((each) => Object.keys(each.labels)))) {
      if (!/^[a-z][a-z0-9_]*$/.test(label)) says(`the label ${label} is not in lower case with underscores`);
      if (name.includes(`_by_${label}`)) says(`the label ${label} is part of the name`);
    }
    if (type === 'histogram') for (const one of Map.groupBy(series, withoutBound).values()) problems.push(...histogramProblems(name, one));
    if (type === 'counter' && series.some(({ value }) => value < 0)) says('a counter is not negative');
  }
  return problems;
}

/** The labels that the series of one histogram share. */
function withoutBound({ labels }: Series): string {
  const { le: _, ...others } = labels;
  return JSON.stringify(others);
}

function histogramProblems(name: string, series: readonly Series[]): string[] {
  const buckets = series.filter((each) => each.name === `${name}_bucket`);
  const counts = buckets.map(({ value }) => value);
  const total = series.find((each) => each.name === `${name}_count`)?.value;
  const problems: string[] = [];
  if (buckets.at(-1)?.labels['le'] !== '+Inf') problems.push(`${name}: the last bucket is +Inf`);
  if (counts.some((count, index) => count < (counts[index - 1] ?? 0))) problems.push(`${name}: buckets count those below as well`);
  if (total === undefined || total !== counts.at(-1)) problems.push(`${name}: the count is that of the last bucket`);
  if (!series.some((each) => each.name === `${name}_sum`)) problems.push(`${name}: there is no sum`);
  return problems;
}

function parseSample(line: string): Series {
  const parsed = LINE.exec(line)?.groups;
  if (parsed === undefined) throw new Error(`not a line of the text format: ${JSON.stringify(line)}`);
  const labels = [...(parsed['labels'] ?? '').matchAll(LABEL)].map(({ groups }) => [
    groups?.['name'] ?? '',
    unescaped(groups?.['value'] ?? ''),
  ]);
  const value = parsed['value'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(parsed['value']);
  if (Number.isNaN(value) && parsed['value'] !== 'Nan' && parsed['value'] !== 'NaN') throw new Error(`not a number: ${line}`);
  return { name: parsed['name'] ?? '', labels: Object.fromEntries(labels), value };
}

function belongs(sample: string, { name, type }: Family): boolean {
  return (
    sample === name || ((type === 'histogram' || type === 'summary') && [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample))
  );
}

function unescaped(text: string): string {
  return text.replace(/\\([\\"n])/g, (_, char: string) => (char === 'n' ? '\n' : char));
}

/** The text that comes in these parts. */
export async function textOf(parts: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(parts)).toString();
}
