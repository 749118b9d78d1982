/** What handshakes cost: TLS 1.2 and 1.3, P-256 and RSA-2048, full and resumed. */
import type { CertificateFiles } from './certificates.ts';
import type { TlsVersion } from './messages.ts';
import type { Peer } from './peers/peer.ts';
import { short } from './spread.ts';
import { bringUpAll, type Stage } from './stage.ts';
import { measureConnections } from './works.ts';

/** One kind of handshake with one peer. */
export interface HandshakeCost {
  readonly peer: string;
  readonly tls: TlsVersion;
  readonly key: CertificateFiles['kind'];
  /** What the client asked for; `resumedShare` is how many got it. */
  readonly handshake: 'full' | 'resumed';
  readonly resumedShare: number;
  readonly cpuMsPerConnection: number;
}

const VERSIONS: readonly TlsVersion[] = ['TLSv1.3', 'TLSv1.2'];

/** Measures each kind with each peer, with session resumption switched on where it can be. */
export async function measureHandshakes(
  peers: readonly Peer[],
  stage: Stage,
  kinds: readonly CertificateFiles[],
  count: number,
): Promise<readonly HandshakeCost[]> {
  const costs: HandshakeCost[] = [];
  for (const certificates of kinds) {
    const balancers = await bringUpAll(peers, stage, { certificates, resumption: true });
    for (const balancer of balancers) await measureConnections(balancer, stage, { version: 'TLSv1.3', resume: false, count });
    for (const version of VERSIONS) {
      for (const resume of [false, true]) {
        for (const balancer of balancers) {
          const { cpuMsPerUnit, resumed } = await measureConnections(balancer, stage, { version, resume, count });
          costs.push({
            peer: balancer.name,
            tls: version,
            key: certificates.kind,
            handshake: resume ? 'resumed' : 'full',
            resumedShare: short(resumed / count),
            cpuMsPerConnection: short(cpuMsPerUnit),
          });
        }
      }
    }
    await Promise.all(balancers.map((balancer) => balancer.end()));
  }
  return costs;
}
