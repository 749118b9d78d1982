/** From the fields of a certificate to the target group: what it proves, which client that is, where the client is led to, and whether it may. */
import { clientOf, identityIn, refuseIfRevoked, routeOf } from '../../src/dataplane/gates.ts';
import { Refusal } from '../../src/dataplane/refusal.ts';
import { addressBits } from '../../src/domain/cidr.ts';
import type { CertificateFields } from '../../src/domain/identity.ts';
import { ANY_NAME_MATCH, type Client } from '../../src/domain/model.ts';
import { LaneWriter } from '../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../src/shared/memory/layout.ts';
import { repeating } from './cost.ts';
import { crowdOf, LISTENER, viewOf } from './crowd.ts';
import { type Curve, curveOf } from './curves.ts';

const REQUESTED = { sni: 'localhost', alpn: undefined };
/** Besides what a certificate has, it has what every one has. */
const UNIT = 'OU=somebody';
/** Of a certificate without names, whose signature nobody can rewrite: what that takes is the same however many clients there are. */
const RAW = Buffer.from('300e3000300506032b65700303003000', 'hex');

interface Way {
  readonly name: string;
  readonly client: (index: number) => Partial<Client>;
  /** undefined: a connection of a plain listener. */
  readonly certificate: ((index: number) => CertificateFields) | undefined;
}

const plain =
  (commonName: string, alternative?: string) =>
  (index: number): CertificateFields => ({
    subject: `${UNIT}\nCN=${commonName.replace('#', String(index))}`,
    subjectAltName: alternative?.replace('#', String(index)),
    fingerprint256: fingerprintOf(index),
    raw: RAW,
  });

/** How a client can be known. */
const WAYS: readonly Way[] = [
  { name: 'known by its id', client: () => ({}), certificate: plain('client-#') },
  {
    name: 'known by a DNS name',
    client: (index) => ({ match: { ...ANY_NAME_MATCH, dns: `c${index}.example` } }),
    certificate: plain('somebody', 'DNS:c#.example'),
  },
  {
    name: 'known by a pattern of URIs',
    client: (index) => ({ match: { ...ANY_NAME_MATCH, uri: `spiffe://example/ns/n${index}/sa/*` } }),
    certificate: plain('somebody', 'URI:spiffe://example/ns/n#/sa/web'),
  },
  {
    name: 'known by a fingerprint',
    client: (index) => ({ match: { ...ANY_NAME_MATCH, fingerprint: fingerprintOf(index).replaceAll(':', '').toLowerCase() } }),
    certificate: plain('somebody'),
  },
  {
    name: 'known by a network, on a plain listener',
    client: (index) => ({ match: { ...ANY_NAME_MATCH, cidr: `10.${index >> 8}.${index & 255}.0/24` } }),
    certificate: undefined,
  },
];

/** Each way to know a client, and a certificate that no client matches. */
export async function authorisationCurves(): Promise<readonly Curve[]> {
  const curves: Curve[] = [];
  for (const way of WAYS) curves.push(await curveOf(way.name, (size) => repeating(authorising(way, size))));
  curves.push(await curveOf('no client matches: refused', (size) => repeating(refusing(size))));
  return curves;
}

function authorising({ client, certificate }: Way, size: number): (number: number) => void {
  const view = viewOf(crowdOf(size, client), new LaneWriter(createSharedBuffers(1), 0));
  const certificates = Array.from({ length: size }, (_, index) => certificate?.(index));
  const sources = Array.from({ length: size }, (_, index) => addressBits(`10.${index >> 8}.${index & 255}.7`) ?? 0n);
  return (number) => {
    const fields = certificates[number % size];
    const identity = fields && identityIn(fields);
    if (identity !== undefined) refuseIfRevoked(identity, view);
    const found = clientOf({ identity, source: sources[number % size] }, view);
    routeOf(found.client, LISTENER, REQUESTED, view);
  };
}

function refusing(size: number): (number: number) => void {
  const view = viewOf(
    crowdOf(size, () => ({})),
    new LaneWriter(createSharedBuffers(1), 0),
  );
  const stranger = plain('stranger')(0);
  return () => {
    try {
      clientOf({ identity: identityIn(stranger), source: undefined }, view);
    } catch (error) {
      if (error instanceof Refusal) return;
      throw error;
    }
    throw new Error('a stranger was let in');
  };
}

function fingerprintOf(index: number): string {
  return (index.toString(16).padStart(8, '0').repeat(8).match(/../g) ?? []).join(':').toUpperCase();
}
