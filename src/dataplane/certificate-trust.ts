/** What a reload of a CA or of a revocation list means for connections that were let in before. */
import { setImmediate } from 'node:timers/promises';
import type { TlsMaterial } from '../domain/tls-material.ts';
import type { CertificateChain } from './certificate-chain.ts';
import { type CertificateJudge, certificateJudge } from './certificate-verdict.ts';
import type { LiveConnection, LiveConnections } from './live-connections.ts';
import type { Refusal } from './refusal.ts';

/** Certificates are looked at so many at a time; in between connections have their turn. */
const AT_A_TIME = 16;

/** Knows by which CA and revocation list each listener judges, and judges again those whom an earlier one let in. */
export class CertificateTrust {
  readonly #material: (listener: string) => TlsMaterial | undefined;
  readonly #live: LiveConnections;
  readonly #epochs = new Map<string, number>();

  /** `material` is what new handshakes on the listener use; undefined: there are none. */
  constructor(material: (listener: string) => TlsMaterial | undefined, live: LiveConnections) {
    this.#material = material;
    this.#live = live;
  }

  /** Another number each time the listener has got another CA or revocation list. */
  epoch(listener: string): number {
    return this.#epochs.get(listener) ?? 0;
  }

  /**
   * Closes the connections whose certificates are trusted no longer, now that these listeners have another CA or revocation list;
   * resolves with how many they were. A certificate that has merely expired while connected stays, as with HAProxy and Envoy.
   */
  async renew(listeners: readonly string[]): Promise<number> {
    for (const listener of listeners) this.#epochs.set(listener, this.epoch(listener) + 1);
    let closed = 0;
    for (const listener of listeners) closed += await this.#closeWithdrawn(listener);
    return closed;
  }

  /**
   * Judges again a connection that is about to be served, if its handshake was judged by a CA or revocation list of before.
   * @throws Refusal as the handshake would
   */
  async refuseIfWithdrawn(listener: string, asOf: number, chainOf: () => CertificateChain | undefined): Promise<void> {
    for (let judgedAt = asOf; judgedAt !== this.epoch(listener); ) {
      judgedAt = this.epoch(listener);
      const [judge, chain] = [this.#judge(listener), chainOf()];
      const verdict = judge === undefined || chain === undefined ? undefined : await judge(chain);
      if (verdict !== undefined) throw verdict;
    }
  }

  async #closeWithdrawn(listener: string): Promise<number> {
    const judge = this.#judge(listener);
    if (judge === undefined) return 0;
    const epoch = this.epoch(listener);
    let closed = 0;
    for (const { chain, connections } of (await holdersByChain(this.#live.on(listener))).values()) {
      const verdict = await judge(chain);
      // What came with a reload after this one is judged by that.
      if (epoch !== this.epoch(listener)) break;
      if (verdict === undefined || isAboutTimeAlone(verdict)) continue;
      for (const connection of connections) connection.close('certificate_withdrawn');
      closed += connections.length;
    }
    return closed;
  }

  #judge(listener: string): CertificateJudge | undefined {
    const material = this.#material(listener);
    return material === undefined ? undefined : certificateJudge(material);
  }
}

interface Holders {
  readonly chain: CertificateChain;
  readonly connections: LiveConnection[];
}

/**
 * The connections by what their clients have shown. A resumed session has the client's own certificate only: it goes with a
 * connection of the same certificate that has shown more, if there is one.
 */
async function holdersByChain(connections: readonly LiveConnection[]): Promise<ReadonlyMap<string, Holders>> {
  const whole = new Map<string, Holders>();
  const alone: { readonly chain: CertificateChain; readonly connection: LiveConnection }[] = [];
  for (const [index, connection] of connections.entries()) {
    if (index % AT_A_TIME === AT_A_TIME - 1) await setImmediate();
    const chain = connection.chain();
    if (chain === undefined) continue;
    if (chain.length === 1) alone.push({ chain, connection });
    else hold(whole, chain.map(({ fingerprint256 }) => fingerprint256).join(), chain, connection);
  }
  const byLeaf = new Map([...whole.values()].map((holders) => [holders.chain[0].fingerprint256, holders]));
  for (const { chain, connection } of alone) {
    const { fingerprint256 } = chain[0];
    const known = byLeaf.get(fingerprint256);
    if (known === undefined) hold(whole, fingerprint256, chain, connection);
    else known.connections.push(connection);
  }
  return whole;
}

function hold(known: Map<string, Holders>, key: string, chain: CertificateChain, connection: LiveConnection): void {
  const holders = known.get(key);
  if (holders === undefined) known.set(key, { chain, connections: [connection] });
  else holders.connections.push(connection);
}

function isAboutTimeAlone({ reason }: Refusal): boolean {
  return reason === 'certificate_expired';
}
