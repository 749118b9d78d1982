/** What handshakes cost: TLS 1.2 and 1.3, P-256 and RSA-2048, full and resumed. */
import type { CertificateFiles } from './certificates.ts';
import { LoadFailure } from './load.ts';
import type { TlsVersion } from './messages.ts';
import type { Peer } from './peers/peer.ts';
import { ratios, type Spread, short, spreadOf } from './spread.ts';
import { type Balancer, bringUpAll, type Stage } from './stage.ts';
import { turned } from './turns.ts';
import { measureConnections } from './works.ts';

/** One kind of handshake with one peer. */
export interface HandshakeCost {
  readonly peer: string;
  readonly tls: TlsVersion;
  readonly key: CertificateFiles['kind'];
  /** What the client asked for; `resumedShare` is how many got it. */
  readonly handshake: 'full' | 'resumed';
  readonly resumedShare: number;
  /** CPU time of the balancer; null: it does not do this kind, and `reason` says why. */
  readonly cpuMsPerConnection: Spread | null;
  readonly ratioToHaproxy: Spread | null;
  readonly reason: string | null;
}

/** Over which a kind is measured. */
export const HANDSHAKE_ROUNDS = 5;
/** A part of a round, so that code is compiled, and those are known who do not do a kind. */
const WARM_UP = 1 / 4;
const KINDS = (['TLSv1.3', 'TLSv1.2'] as const).flatMap((version) => [false, true].map((resume) => ({ version, resume })));

/** Measures each kind with each peer, where everybody who can lets sessions be resumed: `count` connections a round. */
export async function measureHandshakes(
  peers: readonly Peer[],
  stage: Stage,
  kinds: readonly CertificateFiles[],
  count: number,
): Promise<readonly HandshakeCost[]> {
  const costs: HandshakeCost[] = [];
  for (const certificates of kinds) {
    const balancers = await bringUpAll(peers, stage, { certificates, resumption: 'everybody' });
    const series = KINDS.map((kind) => balancers.map((balancer) => new Series(balancer, kind)));
    for (const each of series.flat()) await each.tryOut(stage, Math.ceil(count * WARM_UP));
    for (let round = 0; round < HANDSHAKE_ROUNDS; round++) {
      for (const kind of series) for (const each of turned(kind, round)) await each.measure(stage, count);
    }
    for (const kind of series) {
      const base = kind.find(({ peer }) => peer === 'haproxy');
      costs.push(...kind.map((each) => each.cost(certificates.kind, base)));
    }
    await Promise.all(balancers.map((balancer) => balancer.end()));
  }
  return costs;
}

/** One kind with one balancer over all rounds, for as long as it does it. */
class Series {
  readonly #balancer: Balancer;
  readonly #kind: (typeof KINDS)[number];
  readonly #cpuMs: number[] = [];
  #asked = 0;
  #resumed = 0;
  #reason: string | null = null;

  constructor(balancer: Balancer, kind: (typeof KINDS)[number]) {
    this.#balancer = balancer;
    this.#kind = kind;
  }

  get peer(): string {
    return this.#balancer.name;
  }

  /** CPU milliseconds per connection, one a round; none when it does not do this kind. */
  get figures(): readonly number[] {
    return this.#reason === null ? this.#cpuMs : [];
  }

  /** Not counted. @throws Error when the load itself ends */
  async tryOut(stage: Stage, count: number): Promise<void> {
    const sample = await this.#connect(stage, count);
    if (this.#kind.resume && sample?.resumed === 0) this.#reason = 'resumes none';
  }

  /** One round. @throws Error when the load itself ends */
  async measure(stage: Stage, count: number): Promise<void> {
    if (this.#reason !== null) return;
    const sample = await this.#connect(stage, count);
    if (sample === undefined) return;
    this.#cpuMs.push(sample.cpuMsPerUnit);
    this.#asked += count;
    this.#resumed += sample.resumed;
  }

  /** What came of it; the ratio is to what `base` cost in the same round. */
  cost(key: CertificateFiles['kind'], base: Series | undefined): HandshakeCost {
    return {
      peer: this.peer,
      tls: this.#kind.version,
      key,
      handshake: this.#kind.resume ? 'resumed' : 'full',
      resumedShare: short(this.#resumed / Math.max(1, this.#asked)),
      cpuMsPerConnection: spreadOf(this.figures) ?? null,
      ratioToHaproxy: spreadOf(ratios(this.figures, base?.figures ?? [])) ?? null,
      reason: this.#reason,
    };
  }

  async #connect(stage: Stage, count: number) {
    try {
      return await measureConnections(this.#balancer, stage, { ...this.#kind, count });
    } catch (error) {
      if (!(error instanceof LoadFailure)) throw error;
      this.#reason = error.reason;
      return undefined;
    }
  }
}
