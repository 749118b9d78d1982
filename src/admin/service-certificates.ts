/** Which certificates are served, which lists clients are held against, and taking them anew from their files. */
import { X509Certificate } from 'node:crypto';
import { status as Code } from '@grpc/grpc-js';
import { plainFingerprint } from '../domain/fingerprint.ts';
import { isSuperseded, type ListInUse } from '../domain/list-in-use.ts';
import type { Revocation } from '../domain/model.ts';
import { nameText } from '../domain/name-text.ts';
import type { ServedChain } from '../domain/served-chain.ts';
import type { OcspStaple } from '../domain/tls-material.ts';
import type { AdminServiceServer, RevocationList, RevokedCertificate, ServedCertificate } from '../gen/lb/admin/v1/admin.ts';
import type { Changes } from './changes.ts';
import type { AdminConnections } from './connections.ts';
import type { AdminContext } from './context.ts';
import { AdminError } from './errors.ts';
import { count } from './replies.ts';
import { unary } from './rpc.ts';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export function certificateMethods(
  { authority, certificates, log }: AdminContext,
  changes: Changes,
  connections: Pick<AdminConnections, 'from'>,
): Pick<AdminServiceServer, 'listCertificates' | 'reloadCertificates'> {
  const served = () => certificates.served().flatMap(servedMessages);
  return {
    listCertificates: unary(log, () => ({
      certificates: served(),
      revoked: [...authority.snapshot.revocations.values()].sort(newestFirst).map(revokedMessage),
      revocationLists: listMessages(certificates.lists(), Date.now()),
    })),

    reloadCertificates: unary(log, async ({ allowSelf }, caller) => {
      const { connectionsClosed, warnings } = await changes.recorded('ReloadCertificates', caller, async () => {
        const reloaded = await certificates.reload(allowSelf ? undefined : connections.from(caller.from));
        if ('connectionsClosed' in reloaded) return { replayed: false, ...reloaded };
        const { problem, shutsOut } = reloaded;
        if (shutsOut) throw ownCertificateRefused(caller.name, problem);
        throw new AdminError(Code.FAILED_PRECONDITION, 'TLS_FILE_REFUSED', `${problem}; the certificates in force stay`);
      });
      return { certificates: served(), connectionsClosed: count(connectionsClosed), warnings: [...warnings] };
    }),
  };
}

function ownCertificateRefused(name: string, why: string): AdminError {
  const problem = `with these files the admin API would no longer take your own certificate "${name}" (${why}), so the old ones stay`;
  const todo = 'let another administrator do it, or set allow_self (lbctl certificates --reload --yes-lock-me-out)';
  return new AdminError(Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT', `${problem}; ${todo}`);
}

/** The certificate and its intermediates, as they are sent in the handshake. */
function servedMessages({ usedBy, file, certificatePem, ocsp }: ServedChain): ServedCertificate[] {
  return [...certificatePem.matchAll(PEM_CERTIFICATE)].map(([pem], index) => {
    const { subject, issuer, serialNumber, validFromDate, validToDate, fingerprint256 } = new X509Certificate(pem);
    return {
      usedBy,
      subject: nameText(subject),
      issuer: nameText(issuer),
      serialNumber,
      notBefore: validFromDate,
      notAfter: validToDate,
      fingerprint: plainFingerprint(fingerprint256),
      file,
      ocsp: index === 0 && ocsp !== undefined ? stapleMessage(ocsp) : undefined,
    };
  });
}

function stapleMessage({ endsAtMs }: OcspStaple): ServedCertificate['ocsp'] {
  if (endsAtMs === undefined) return { stapled: true, nextUpdate: undefined };
  return { stapled: Date.now() < endsAtMs, nextUpdate: new Date(endsAtMs) };
}

function listMessages(lists: readonly ListInUse[], nowMs: number): RevocationList[] {
  return lists.map((list) => {
    const { usedBy, file, issuer, thisUpdateMs, nextUpdateMs, entries } = list;
    const nextUpdate = nextUpdateMs === undefined ? undefined : new Date(nextUpdateMs);
    const sameUse = lists.filter((other) => other.usedBy === usedBy);
    const superseded = isSuperseded(list, sameUse, nowMs);
    return { usedBy, file, issuer, thisUpdate: new Date(thisUpdateMs), nextUpdate, entries: count(entries), superseded };
  });
}

function revokedMessage({ fingerprint, comment, atMs }: Revocation): RevokedCertificate {
  // 0 stands for a time that nobody wrote down.
  return { fingerprint, comment, revokedAt: atMs === 0 ? undefined : new Date(atMs) };
}

function newestFirst(a: Revocation, b: Revocation): number {
  return b.atMs - a.atMs || (a.fingerprint < b.fingerprint ? -1 : 1);
}
