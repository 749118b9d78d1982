/** Which of a listener's certificates is served for a name that a client asks for: the first that carries it, and its twins. */
import { alternativeNames, subjectAttributes } from './identity.ts';

/** One-label wildcards as in RFC 6125, section 6.4.3; the common name counts where there is no DNS name. */
const NAME_RULES = { subject: 'default', partialWildcards: false } as const;

/** What is asked of a certificate; Node's X509Certificate answers it. */
export interface NamedCertificate {
  /** undefined for an empty one. */
  readonly subject: string | undefined;
  readonly subjectAltName: string | undefined;
  readonly publicKey: { readonly asymmetricKeyType?: string | undefined };
  checkHost(name: string, rules: typeof NAME_RULES): string | undefined;
}

/** Whether the certificate is for this name. */
export function carries(certificate: NamedCertificate, serverName: string): boolean {
  return certificate.checkHost(serverName, NAME_RULES) !== undefined;
}

/** The certificate, and the first other one of each other kind of key that is for the same names: OpenSSL serves the one that the client can verify. */
export function twinsOf<T>(own: T, others: readonly T[], certificateOf: (each: T) => NamedCertificate): readonly T[] {
  const leaf = certificateOf(own);
  const byKind = new Map([[leaf.publicKey.asymmetricKeyType, own]]);
  for (const other of others) {
    const { publicKey, subjectAltName, subject } = certificateOf(other);
    const isForSameNames = subjectAltName === leaf.subjectAltName && (subjectAltName !== undefined || subject === leaf.subject);
    if (isForSameNames && !byKind.has(publicKey.asymmetricKeyType)) byKind.set(publicKey.asymmetricKeyType, other);
  }
  return [...byKind.values()];
}

/** A certificate that no client gets, and those before it that are served for its names; none, if it carries no name. Positions in the list. */
export interface NeverServed {
  readonly index: number;
  readonly takenBy: readonly number[];
}

/** Those of `certificates` that no client gets; `main` is served for every other name. */
export function neverServed(main: NamedCertificate, certificates: readonly NamedCertificate[]): readonly NeverServed[] {
  const itself = (certificate: NamedCertificate) => certificate;
  const firstFor = new Map<string, number>();
  const served = new Set(twinsOf(main, certificates, itself));
  const takers = certificates.map((certificate, index) => {
    const names = namesOf(certificate);
    for (const name of names) if (!firstFor.has(name)) firstFor.set(name, index);
    const first = names.map((name) => Math.min(firstFor.get(name) ?? index, firstFor.get(wildcardOf(name)) ?? index));
    if (first.includes(index)) for (const twin of twinsOf(certificate, [...certificates, main], itself)) served.add(twin);
    return [...new Set(first)].toSorted((a, b) => a - b);
  });
  return certificates.flatMap((certificate, index) => (served.has(certificate) ? [] : [{ index, takenBy: takers[index] ?? [] }]));
}

/** The names that the certificate is served for, in lower case, wildcards as they are. */
function namesOf(certificate: NamedCertificate): readonly string[] {
  const dns = [...alternativeNames(certificate.subjectAltName ?? '')].filter(({ type }) => type === 'DNS').map(({ value }) => value);
  const common = [...subjectAttributes(certificate.subject ?? '')].flatMap(({ key, value }) =>
    key === 'CN' && value !== undefined ? [value] : [],
  );
  const names = (dns.length > 0 ? dns : common).map((name) => name.toLowerCase());
  return names.filter((name) => carries(certificate, name.replace(/^\*\./, 'any.')));
}

/** The only wildcard that takes the name. */
function wildcardOf(name: string): string {
  return name.replace(/^[^.]*/, '*');
}
