/** What it costs to turn connections away: CPU time of a balancer for each, as a ratio to HAProxy that does the same. */
import type { CertificateFiles } from './certificates.ts';
import type { Defence, Peer } from './peers/peer.ts';
import { ratios, type Spread, short, spreadOf } from './spread.ts';
import { type Balancer, bringUpAll, type Stage } from './stage.ts';
import { turned } from './turns.ts';
import { observed } from './works.ts';

/** Who is turned away, and when. */
export const REFUSED = {
  strangers: 'a certificate of the CA that is no client’s, after the handshake',
  addresses: 'an address that comes too often, before the handshake',
  noise: 'bytes that are not TLS',
} as const;
export type Refused = keyof typeof REFUSED;

/** One kind of refusal at one peer. */
export interface RefusalCost {
  readonly peer: string;
  readonly refused: Refused;
  /** CPU time of the balancer. */
  readonly cpuMsPerConnection: Spread;
  readonly ratioToHaproxy: Spread | null;
  readonly perSecond: Spread;
}

interface Measured {
  readonly cpuMs: number;
  readonly perSecond: number;
}

/** Another address of loopback than that by which a peer is asked whether it listens. */
const FROM = '127.0.0.2';
/** More addresses at a time than lbd holds for a while before it resets them: the others it turns away at once. */
const AT_ONCE = { strangers: 32, addresses: 512, noise: 32 } as const;
/** A handshake takes as long as many connections without one. */
const CHEAPER = { strangers: 1, addresses: 10, noise: 4 } as const;
const ROUNDS = 5;

/** Measures each kind at the peers that can be told to refuse it, `count` handshakes a round; noise at all of them. */
export async function measureRefusals(
  peers: readonly Peer[],
  stage: Stage,
  certificates: CertificateFiles,
  count: number,
): Promise<readonly RefusalCost[]> {
  const costs: RefusalCost[] = [];
  for (const refused of ['strangers', 'addresses', 'noise'] as const) {
    const defence: Defence | undefined = refused === 'noise' ? undefined : refused;
    const able = peers.filter(({ defences }) => defence === undefined || defences.includes(defence));
    const balancers = await bringUpAll(able, stage, { certificates, resumption: 'asItComes', ...(defence && { defence }) });
    costs.push(...(await measureRefused(refused, balancers, stage, count * CHEAPER[refused])));
    await Promise.all(balancers.map((balancer) => balancer.end()));
  }
  return costs;
}

async function measureRefused(
  refused: Refused,
  balancers: readonly Balancer[],
  stage: Stage,
  count: number,
): Promise<readonly RefusalCost[]> {
  const measured = new Map<string, Measured[]>(balancers.map(({ name }) => [name, []]));
  for (const balancer of balancers) await beRefused(refused, balancer, stage, count);
  for (let round = 0; round < ROUNDS; round++) {
    for (const balancer of turned(balancers, round)) measured.get(balancer.name)?.push(await beRefused(refused, balancer, stage, count));
  }
  const base = measured.get('haproxy')?.map(({ cpuMs }) => cpuMs) ?? [];
  return [...measured].flatMap(([peer, each]) => {
    const cpu = each.map(({ cpuMs }) => cpuMs);
    const [cpuMsPerConnection, perSecond] = [spreadOf(cpu), spreadOf(each.map((one) => one.perSecond))];
    if (cpuMsPerConnection === undefined || perSecond === undefined) return [];
    return [{ peer, refused, cpuMsPerConnection, ratioToHaproxy: spreadOf(ratios(cpu, base)) ?? null, perSecond }];
  });
}

async function beRefused(refused: Refused, balancer: Balancer, stage: Stage, count: number): Promise<Measured> {
  const client = balancer.target('TLSv1.3', 'stranger');
  const target = refused === 'strangers' ? client : { port: client.port, tls: undefined };
  const { done, balancerMs } = await observed(balancer, stage, { kind: 'beRefused', target, from: FROM, count, atOnce: AT_ONCE[refused] });
  return { cpuMs: balancerMs / count, perSecond: short(count / done.seconds) };
}
