/** Revocations shut out clients that present the certificate itself; some certificates no client presents. */
import type { Revocation } from './model.ts';

/** A certificate that lbd has loaded from its own files. */
export interface CertificateInUse {
  /** SHA-256, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** What clients' certificates are signed by, or what lbd shows to them. */
  readonly role: 'ca' | 'served';
  /** A listener's name, or `admin`. */
  readonly usedBy: string;
  readonly file: string;
}

const AFTER_A_CA =
  'what it has signed would still be let in; remove the CA from caCert and reload (lbctl certificates --reload), or list certificates in a crl';

/** Why revoking a certificate would do nothing, and what to do instead; undefined: it may do something. */
export function uselessRevocation(
  fingerprint: string,
  inUse: readonly CertificateInUse[],
): { readonly role: CertificateInUse['role']; readonly problem: string } | undefined {
  const found = inUse.filter((each) => each.fingerprint === fingerprint);
  const ca = found.find(({ role }) => role === 'ca');
  if (ca !== undefined) {
    const users = found.filter(({ role }) => role === 'ca').map(({ usedBy }) => usedBy);
    return { role: 'ca', problem: `this is the CA in ${ca.file} (used by ${users.join(', ')}), and ${AFTER_A_CA}` };
  }
  const [served] = found;
  if (served === undefined) return undefined;
  const where = `${served.file} (used by ${found.map(({ usedBy }) => usedBy).join(', ')})`;
  return {
    role: 'served',
    problem: `lbd itself serves this certificate from ${where}, and no client is shut out by revoking it; put another certificate and key there and reload (lbctl certificates --reload)`,
  };
}

/** What is wrong with revoking a CA that is not among those loaded. */
export const REVOKED_CA = `this is the certificate of a CA, and ${AFTER_A_CA}`;

/** A warning for each revocation of a configuration that would do nothing. */
export function uselessRevocations(
  revocations: readonly Pick<Revocation, 'fingerprint'>[],
  inUse: readonly CertificateInUse[],
): readonly string[] {
  return revocations.flatMap(({ fingerprint }) => {
    const useless = uselessRevocation(fingerprint, inUse);
    return useless === undefined ? [] : [`revokedCertificates, ${fingerprint}: ${useless.problem}`];
  });
}
