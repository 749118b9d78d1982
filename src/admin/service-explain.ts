/** Explain: what would become of a connection, as one of the workers that would serve it says. */
import { X509Certificate } from 'node:crypto';
import { status as Code } from '@grpc/grpc-js';
import type { ExplainQuestion, Explanation } from '../controlplane/workers.ts';
import { addressBits } from '../domain/cidr.ts';
import { DomainError } from '../domain/errors.ts';
import { isFingerprint, plainFingerprint } from '../domain/fingerprint.ts';
import type { BoundListener } from '../domain/model.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { AdminError } from './errors.ts';
import { count, listenersByName } from './replies.ts';
import { unary } from './rpc.ts';

const MAX_CERTIFICATES = 10;
const MAX_NAMES = 100;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const HEALTH = {
  unknown: proto.HealthState.UNKNOWN,
  healthy: proto.HealthState.HEALTHY,
  unhealthy: proto.HealthState.UNHEALTHY,
} as const;

export function explainMethods(context: AdminContext): Pick<proto.AdminServiceServer, 'explain'> {
  return {
    explain: unary(context.log, async (request) => {
      const explanation = await context.explain(questionFrom(request, context.listeners()));
      if (explanation === undefined) {
        throw new AdminError(Code.UNAVAILABLE, 'NO_WORKER', 'no worker answered in time; ask again');
      }
      return explanationMessage(explanation);
    }),
  };
}

/** @throws DomainError */
function questionFrom({ who, source, listener, sni, alpn }: proto.ExplainRequest, listeners: readonly BoundListener[]): ExplainQuestion {
  return {
    peer: who === undefined && source !== '' ? { kind: 'nobody' } : peerFrom(who),
    source: sourceFrom(source),
    listener: listenerFrom(listener, listeners),
    sni: sni === '' ? undefined : sni.toLowerCase(),
    alpn: alpn === '' ? undefined : alpn,
  };
}

function sourceFrom(text: string): bigint | undefined {
  if (text === '') return undefined;
  const bits = addressBits(text);
  if (bits === undefined) throw new DomainError('invalid', 'source', 'expected an IP address, such as 10.1.2.3 or 2001:db8::1');
  return bits;
}

function peerFrom(who: proto.ExplainRequest['who']): ExplainQuestion['peer'] {
  switch (who?.$case) {
    case 'certificate': {
      const [leaf, ...more] = (who.value.match(PEM_CERTIFICATE) ?? []).slice(0, MAX_CERTIFICATES);
      if (leaf === undefined) throw new DomainError('invalid', 'certificate', 'expected a certificate as -----BEGIN CERTIFICATE-----');
      for (const pem of [leaf, ...more]) refuseDamaged(pem);
      return { kind: 'certificate', chainPem: [leaf, ...more] };
    }
    case 'identity':
      return { kind: 'identity', identity: identityFrom(who.value) };
    case undefined:
      throw new DomainError('invalid', 'certificate', 'expected a certificate, or an identity; or a source, for a plain listener');
  }
}

function refuseDamaged(pem: string): void {
  try {
    new X509Certificate(pem);
  } catch {
    throw new DomainError('invalid', 'certificate', 'this is not a certificate; the PEM text is damaged');
  }
}

/** What a certificate with these fields would prove; DNS names are compared in lower case. */
function identityFrom({
  cn,
  dns,
  uri,
  ou,
  fingerprint,
}: proto.ExplainIdentity): (ExplainQuestion['peer'] & { kind: 'identity' })['identity'] {
  const hex = plainFingerprint(fingerprint);
  if (hex !== '' && !isFingerprint(hex)) {
    throw new DomainError('invalid', 'identity.fingerprint', 'a fingerprint is the SHA-256 of the certificate: 64 hex digits');
  }
  for (const [field, names] of Object.entries({ dns, uri, ou })) {
    if (names.length > MAX_NAMES) throw new DomainError('invalid', `identity.${field}`, `at most ${MAX_NAMES} names can be given`);
  }
  if (cn + hex === '' && dns.length + uri.length + ou.length === 0) {
    throw new DomainError('invalid', 'identity', 'expected at least one of cn, dns, uri, ou, fingerprint');
  }
  return {
    commonName: cn === '' ? undefined : cn,
    dnsNames: dns.map((name) => name.toLowerCase()),
    uriNames: uri,
    organizationalUnits: ou,
    fingerprint: hex,
  };
}

function listenerFrom(name: string, listeners: readonly BoundListener[]): string {
  const [only, ...others] = listeners;
  if (name === '' && only !== undefined && others.length === 0) return only.name;
  const names = listenersByName(listeners).map((listener) => listener.name);
  if (name === '') throw new DomainError('invalid', 'listener', `there are several listeners; say which: ${names.join(', ')}`);
  if (names.includes(name)) return name;
  throw new DomainError('not_found', 'listener', `there is no listener "${name}"; there are ${names.join(', ')}`);
}

function explanationMessage({
  revision,
  refusal,
  steps,
  clientId = '',
  targetGroup = '',
  candidates,
  pick = '',
  onlyFrom = '',
}: Explanation): proto.ExplainResponse {
  return {
    revision: BigInt(revision),
    admitted: refusal === undefined,
    reason: refusal ?? '',
    steps: steps.map(({ name, passed, detail }) => ({ name, passed, detail })),
    clientId,
    targetGroup,
    candidates: candidates.map(({ server, usable, why, health, active, weight }) => ({
      server,
      usable,
      why,
      health: HEALTH[health],
      active: count(active),
      weight,
    })),
    pick,
    onlyFrom,
  };
}
