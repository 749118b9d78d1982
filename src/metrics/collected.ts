/** Metrics whose values are read where they are kept, at the moment of the scrape. */
import { setImmediate } from 'node:timers/promises';
import { Histogram, type Registry } from 'prom-client';
import { LATENCY_BOUNDS_S, type LatencyTotals } from '../shared/latency.ts';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What a metric is; the name and the help follow the conventions of Prometheus. */
export interface Description {
  readonly name: string;
  readonly help: string;
}

/** After so many lines others have their turn: a large family must not hold up the thread that answers administrators. */
const LINES_AT_ONCE = 200;

/** A counter or a gauge in Prometheus' text format, version 0.0.4, in parts; in between others have their turn. */
export async function* familyText(
  { name, help }: Description,
  type: 'counter' | 'gauge',
  samples: Iterable<Sample>,
): AsyncGenerator<Buffer, void, undefined> {
  let text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  let lines = 0;
  for (const { labels, value } of samples) {
    text += `${name}${labelText(labels)} ${value}\n`;
    if (++lines % LINES_AT_ONCE !== 0) continue;
    yield Buffer.from(text);
    text = '';
    await setImmediate();
  }
  yield Buffer.from(text);
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"') : value;
}

/** Registers a histogram of seconds with the buckets of shared/latency.ts. */
export function collectLatency(registry: Registry, description: Description, read: () => LatencyTotals): void {
  new CollectedLatency(registry, description, read);
}

class CollectedLatency extends Histogram {
  readonly #description: Description;
  readonly #read: () => LatencyTotals;

  constructor(registry: Registry, description: Description, read: () => LatencyTotals) {
    super({ ...description, registers: [registry] });
    this.#description = description;
    this.#read = read;
  }

  /** The registry takes histograms from here; the types of prom-client do not say so. */
  async getForPromString() {
    const { counts, sumSeconds } = this.#read();
    const { name, help } = this.#description;
    let below = 0;
    const buckets = [...LATENCY_BOUNDS_S.map(String), '+Inf'].map((le, index) => {
      below += counts[index] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le }, value: below };
    });
    const ends = [
      { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
      { metricName: `${name}_count`, labels: {}, value: below },
    ];
    return { name, help, type: 'histogram', aggregator: 'sum', values: [...buckets, ...ends] };
  }
}
