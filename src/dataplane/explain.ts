/** What would become of a connection that came now: the checks of a real one, asked in the same order, using up nothing. */
import { X509Certificate } from 'node:crypto';
import { displayName, type Identity } from '../domain/identity.ts';
import type { Client, TargetGroup } from '../domain/model.ts';
import type { TlsMaterial } from '../domain/tls-material.ts';
import { unroutableClients } from '../domain/unroutable.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { ExplainedCandidate, ExplainedStep, ExplainQuestion, Explanation } from '../shared/explain.ts';
import type { AddressTable } from '../shared/memory/address-table.ts';
import type { HealthCode } from '../shared/memory/layout.ts';
import { peekAddress } from './address-guard.ts';
import type { Admission } from './admission.ts';
import { peekBandwidth } from './bandwidth.ts';
import { certificateVerdict } from './certificate-verdict.ts';
import { clientOf, groupNamed, identityIn, refuseIfRevoked, routeOf } from './gates.ts';
import type { Pacer } from './pacer.ts';
import { Refusal } from './refusal.ts';
import { clientRefused } from './refused-client.ts';
import { namedContexts } from './server-contexts.ts';
import { isLastResort, obstacleTo, PREFERENCES, type Preference, preferenceOf, type ServerView, standsFirst } from './server-view.ts';
import { offeredAlpn } from './tls.ts';
import type { ClientView, GroupView, View } from './view.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** What the worker's connections are judged by. */
export interface ExplainContext {
  readonly view: View;
  readonly admission: Admission;
  readonly pacer: Pacer;
  readonly addresses: AddressTable;
  readonly waitingRoom: WaitingRoom;
  /** The TLS material that the listener serves with now; undefined: it is a plain one. */
  readonly material: TlsMaterial | undefined;
}

/** What the walk has come to; the identity once the handshake would have proven it. */
type Draft = { -readonly [Key in 'clientId' | 'targetGroup' | 'candidates' | 'pick' | 'onlyFrom']?: Explanation[Key] } & {
  identity?: Identity;
};

/** Explains one connection. @throws when the certificate is not one: parse it first */
export async function explain(question: ExplainQuestion, context: ExplainContext): Promise<Explanation> {
  const { view } = context;
  const steps: ExplainedStep[] = [];
  const found: Draft = {};
  let refusal: Refusal | undefined;
  try {
    await walk(question, context, found, async (name, check) => {
      try {
        const { value, detail } = await check();
        steps.push({ name, passed: true, detail });
        return value;
      } catch (error) {
        if (error instanceof Refusal) {
          // A certificate that was found trusted may be revoked: one verdict each.
          const passed = steps.findIndex((step) => step.name === name);
          if (passed !== -1) steps.splice(passed, 1);
          steps.push({ name, passed: false, detail: error.message });
        }
        throw error;
      }
    });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refusal = error;
    const known = found.clientId ?? clientRefused(error, found.identity, question.source, view)?.client.clientId;
    if (known !== undefined) found.clientId = known;
  }
  return {
    revision: view.snapshot.revision,
    refusal: refusal?.reason,
    steps,
    clientId: found.clientId,
    targetGroup: found.targetGroup,
    candidates: found.candidates ?? [],
    pick: found.pick,
    onlyFrom: found.onlyFrom,
  };
}

interface Checked<T> {
  readonly value: T;
  readonly detail: string;
}

type Step = <T>(name: ExplainedStep['name'], check: () => Checked<T> | Promise<Checked<T>>) => Promise<T>;

/** The story of connection.ts up to the dial. @throws Refusal from the step that refuses */
async function walk(
  { peer, source, listener, sni, alpn }: ExplainQuestion,
  context: ExplainContext,
  found: Draft,
  step: Step,
): Promise<void> {
  const { view, admission, pacer, addresses, waitingRoom } = context;
  const configured = view.listener(listener);
  const bounds = configured?.perAddress;
  if (bounds !== undefined && source !== undefined)
    await step('address', () => ({ value: undefined, detail: peekAddress(listener, bounds, source, addresses, monotonicMs()) }));
  const agree = () => agreedAlpn(configured === undefined ? [] : offeredAlpn(configured), alpn);
  // Shown only when it refuses: ALPN is agreed on before certificates are seen, and belongs to the route otherwise.
  const agreed = await silently('route', agree, step);
  const shown = shownCertificate(sni, context.material);
  if (shown !== undefined) await step('serverCertificate', () => ({ value: undefined, detail: shown }));
  const identity = await proven(peer, context, step);
  if (identity !== undefined) found.identity = identity;
  // What is revoked is the certificate, but an ambiguous one is refused as that first.
  if (identity !== undefined) await silently('certificate', () => refuseIfRevoked(identity, view), step);
  const client = await step('client', () => {
    const client = clientOf({ identity, source }, view);
    return { value: client, detail: source === undefined ? fromWhere(client.client) : client.client.clientId };
  });
  found.clientId = client.client.clientId;
  if (source === undefined) found.onlyFrom = client.client.match.cidr;
  const group = await step('route', () => {
    const requested = { sni, alpn: agreed };
    const { targetGroup, rule } = withHint(client.client, view, () => routeOf(client.client, listener, requested, view));
    return { value: groupNamed(targetGroup, view), detail: rule };
  });
  found.targetGroup = group.group.name;
  await step('connections', () => ({ value: undefined, detail: admission.peekPlace(client) }));
  await step('rate', () => ({ value: undefined, detail: admission.peekRate(client) }));
  const bandwidth = peekBandwidth(client, pacer);
  if (bandwidth !== undefined) await step('bandwidth', () => ({ value: undefined, detail: bandwidth }));
  const server = group.pool.choose({ clientId: client.client.clientId, source });
  found.candidates = candidatesOf(group);
  found.pick = await step('server', () => picked(group, client, server, waitingRoom));
}

/** Who it is, when nobody has said where it comes from. */
function fromWhere({ clientId, match: { cidr } }: Client): string {
  return cidr === undefined ? clientId : `${clientId}, only from ${cidr}; give a source to be sure`;
}

/** Where no connection of the client could come through, whatever it asks for, the refusal says so. */
function withHint<T>(client: Client, { snapshot }: View, route: () => T): T {
  try {
    return route();
  } catch (error) {
    const [hint] = unroutableClients([client], snapshot.listeners);
    if (!(error instanceof Refusal) || hint === undefined) throw error;
    throw new Refusal(error.reason, `${error.message}; ${hint}`);
  }
}

/** Which of several certificates a client that asks for this name is served with; undefined: there is no choice. */
function shownCertificate(sni: string | undefined, material: TlsMaterial | undefined): string | undefined {
  if (material === undefined || material.certificates.length === 0) return undefined;
  const index = sni === undefined ? -1 : namedContexts(material).findIndex(({ isFor }) => isFor(sni));
  const { subject, subjectAltName } = new X509Certificate((material.certificates[index] ?? material).certificatePem);
  const which = index === -1 ? 'the main one' : `certificates[${index}]`;
  return `${which}: ${(subjectAltName ?? subject).replaceAll('\n', ', ').slice(0, 256)}`;
}

/** What the certificate proves; undefined on a plain listener, which asks for none. @throws Refusal */
async function proven(peer: ExplainQuestion['peer'], context: ExplainContext, step: Step): Promise<Identity | undefined> {
  const { material } = context;
  if (material === undefined) return undefined;
  if (peer.kind === 'certificate') await step('certificate', () => judged(peer.chainPem, material));
  return step('identity', () => {
    if (peer.kind === 'nobody') throw new Refusal('no_client_certificate', 'the client presents no certificate');
    const identity = peer.kind === 'identity' ? { ...peer.identity, twins: [] } : identityIn(new X509Certificate(peer.chainPem[0]));
    return { value: identity, detail: displayName(identity).slice(0, 256) };
  });
}

/** A check that is worth a step only when it refuses. */
async function silently<T>(name: ExplainedStep['name'], check: () => T, step: Step): Promise<T> {
  try {
    return check();
  } catch (error) {
    return step(name, () => {
      throw error;
    });
  }
}

async function judged(chainPem: readonly [string, ...string[]], material: TlsMaterial): Promise<Checked<undefined>> {
  const [leaf, ...given] = chainPem;
  const certificate = new X509Certificate(leaf);
  const verdict = await certificateVerdict([certificate, ...given.map((pem) => new X509Certificate(pem))], material);
  if (verdict !== undefined) throw verdict;
  return { value: undefined, detail: `trusted, valid until ${certificate.validToDate.toISOString()}` };
}

/** The protocol that the handshake would agree on; undefined: none. @throws Refusal `handshake_failed` as the handshake would fail */
function agreedAlpn(offered: readonly string[], wanted: string | undefined): string | undefined {
  if (wanted === undefined || offered.length === 0) return undefined;
  if (!offered.includes(wanted)) throw new Refusal('handshake_failed', `the listener knows only the ALPN protocols ${offered.join(', ')}`);
  return wanted;
}

/** The server that it would be sent to; undefined: it would wait for one. @throws Refusal */
function picked(
  group: GroupView,
  { client, slot }: ClientView,
  server: ServerView | undefined,
  room: WaitingRoom,
): Checked<string | undefined> {
  if (server === undefined || room.hasQueue(group)) return { value: undefined, detail: room.peek(group, slot) };
  const detail = [`${server.address} for ${client.clientId}, by ${group.group.algorithm}`, ...opening(group.group)].join('; ');
  return { value: server.address, detail };
}

/** What a connection to a server of the group begins with. */
function opening({ sendProxyProtocol, upstreamTls }: TargetGroup): readonly string[] {
  const unverified = upstreamTls?.insecureSkipVerify === true ? ', whose certificate is not verified' : '';
  return [
    ...(sendProxyProtocol === undefined ? [] : [`a PROXY ${sendProxyProtocol} header is sent`]),
    ...(upstreamTls === undefined ? [] : [`TLS to the server${unverified}`]),
  ];
}

/** Every server of the group, with why it is in or out; the choice is one of the usable ones. */
function candidatesOf({ servers }: GroupView): readonly ExplainedCandidate[] {
  const standings = servers.map((server) => {
    const health = server.health();
    return { server, health, obstacle: obstacleTo(server, health), preference: preferenceOf(server, health) };
  });
  const open = new Set(standings.filter(({ obstacle }) => obstacle === undefined).map(({ preference }) => preference));
  const isProbed = standings.some(({ obstacle, preference }) => standsFirst(obstacle, preference));
  const best = PREFERENCES.find((preference) => open.has(preference) && !(isProbed && isLastResort(preference)));
  return standings.map(({ server, health, obstacle, preference }) => ({
    server: server.address,
    usable: obstacle === undefined && preference === best,
    why: obstacle === undefined ? [whyIn(server, health, preference), ...reservations(server)].join(', ') : whyOut(obstacle, server),
    health,
    active: server.active(),
    weight: server.weight,
  }));
}

const WHY = { healthy: 'healthy', backup: 'backup', unknown: 'not probed yet', unknownBackup: 'backup, not probed yet' } as const;

/** What keeps a server that is in from having all of its share. */
function reservations({ share, agent }: ServerView): readonly string[] {
  return [
    ...(share < 1 ? [`slow start at ${Math.round(share * 100)} %`] : []),
    ...(agent.percent === undefined ? [] : [`agent says ${agent.percent} %`]),
  ];
}

/** In panic it is said what is not looked at. */
function whyIn(server: ServerView, health: HealthCode, preference: Preference): string {
  if (server.isEjected()) return 'ejected, but the group is in panic';
  return health === 'unhealthy' ? 'unhealthy, but the group is in panic' : WHY[preference];
}

const WHY_OUT = {
  drain: 'drain',
  maintenance: 'maintenance',
  unhealthy: 'unhealthy',
  weight: 'weight 0',
  agentDown: 'agent says down',
  agentDrain: 'agent says drain',
  agentMaintenance: 'agent says maintenance',
} as const;

function whyOut(obstacle: NonNullable<ReturnType<typeof obstacleTo>>, server: ServerView): string {
  if (obstacle === 'ejected') return `ejected for another ${Math.ceil(server.ejectedForMs(monotonicMs()) / 1000)} s`;
  return obstacle === 'full' ? `full (${server.active()} of ${server.maxConnections})` : WHY_OUT[obstacle];
}
