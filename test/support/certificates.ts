/** Certificates for tests: a CA of its own for each test, in memory, within milliseconds. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CertificateAuthority, type KeyAndCertificate, type Validity, validFor } from '../../certs/issuing.ts';

/** What a certificate says. `cns` gives it several common names; `expired` ended yesterday; `server` is for serverAuth. */
export interface TestCertificate {
  readonly cn?: string;
  readonly cns?: readonly string[];
  readonly ou?: string | readonly string[];
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  readonly ips?: readonly string[];
  /** 1 unless told. */
  readonly days?: number;
  readonly notBefore?: Date;
  readonly expired?: boolean;
  readonly server?: boolean;
}

export interface CertificateFiles {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface TestCa {
  readonly caPem: string;
  readonly caKeyPem: string;
  issue(certificate: TestCertificate): Promise<KeyAndCertificate>;
  /** For `localhost`, 127.0.0.1 and ::1. */
  issueServer(): Promise<KeyAndCertificate>;
  /** `X509 CRL` PEM that revokes these, for one day unless told; `expired` is a list whose next update is overdue. */
  crl(revoked: readonly KeyAndCertificate[], options?: { readonly expired?: boolean; readonly days?: number }): Promise<string>;
  /** Writes `rootCA.pem` and each `NAME.crt`, `NAME.key` (0600) into the folder, and says where. */
  writeTo<Name extends string>(
    folder: string,
    certificates: Readonly<Record<Name, KeyAndCertificate>>,
  ): Promise<{ readonly caCert: string } & Readonly<Record<Name, CertificateFiles>>>;
}

export async function createTestCa(options: { readonly name?: string } = {}): Promise<TestCa> {
  const authority = await CertificateAuthority.create(options.name ?? 'test CA', validFor(30, Date.now()));

  const issue = (certificate: TestCertificate) => {
    const { cn, cns, ou = [], dns = [], uris = [], ips = [], server = false } = certificate;
    return authority.issue({
      commonNames: cns ?? (cn === undefined ? [] : [cn]),
      organizationalUnits: typeof ou === 'string' ? [ou] : ou,
      dnsNames: dns,
      uriNames: uris,
      ipAddresses: ips,
      purpose: server ? 'server' : 'client',
      validity: validityOf(certificate),
    });
  };

  return {
    caPem: authority.certPem,
    caKeyPem: authority.keyPem,
    issue,
    issueServer: () => issue({ cn: 'loadbalancer', dns: ['localhost'], ips: ['127.0.0.1', '::1'], server: true }),
    crl: (revoked, validity = {}) =>
      authority.crl(
        revoked.map(({ certPem }) => certPem),
        validityOf(validity),
      ),
    writeTo: (folder, certificates) => writeCertificates(folder, authority.certPem, certificates),
  };
}

function validityOf({ days = 1, notBefore, expired = false }: TestCertificate): Validity {
  if (expired) return validFor(1, Date.now() - 2 * 86_400_000);
  const validity = validFor(days, Date.now());
  return notBefore === undefined ? validity : { ...validity, notBefore };
}

async function writeCertificates<Name extends string>(
  folder: string,
  caPem: string,
  certificates: Readonly<Record<Name, KeyAndCertificate>>,
): Promise<{ readonly caCert: string } & Readonly<Record<Name, CertificateFiles>>> {
  await mkdir(folder, { recursive: true });
  const caCert = path.join(folder, 'rootCA.pem');
  await writeFile(caCert, caPem);
  const written: [string, CertificateFiles][] = [];
  for (const [name, { certPem, keyPem }] of Object.entries<KeyAndCertificate>(certificates)) {
    const files = { certificate: path.join(folder, `${name}.crt`), privateKey: path.join(folder, `${name}.key`) };
    await writeFile(files.certificate, certPem);
    await writeFile(files.privateKey, keyPem, { mode: 0o600 });
    written.push([name, files]);
  }
  // Object.entries and fromEntries lose the names' type; the record has exactly the names that came in.
  const files = Object.fromEntries(written) as Readonly<Record<Name, CertificateFiles>>;
  return { ...files, caCert };
}
