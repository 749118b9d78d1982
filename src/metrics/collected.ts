/** Metrics whose values are read where they are kept, at the moment of the scrape. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
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

type Read = () => Iterable<Sample>;

/** Registers a counter: what it reads only rises. */
export function collectCounter(registry: Registry, description: Description, read: Read): void {
  new CollectedCounter(registry, description, read);
}

export function collectGauge(registry: Registry, description: Description, read: Read): void {
  new CollectedGauge(registry, description, read);
}

/** Registers a histogram of seconds with the buckets of shared/latency.ts. */
export function collectLatency(registry: Registry, description: Description, read: () => LatencyTotals): void {
  new CollectedLatency(registry, description, read);
}

class CollectedCounter extends Counter {
  readonly #read: Read;

  constructor(registry: Registry, description: Description, read: Read) {
    super({ ...description, registers: [registry] });
    this.#read = read;
  }

  override async get() {
    return { ...(await super.get()), values: [...this.#read()] };
  }
}

class CollectedGauge extends Gauge {
  readonly #read: Read;

  constructor(registry: Registry, description: Description, read: Read) {
    super({ ...description, registers: [registry] });
    this.#read = read;
  }

  override async get() {
    return { ...(await super.get()), values: [...this.#read()] };
  }
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
