/** An OCSP responder on paper: responses as `openssl ocsp` makes them. */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import type { TestCa } from './certificates.ts';
import { temporaryFolder } from './temp-dir.ts';

const run = promisify(execFile);

export interface ResponseRequest {
  /** `good` unless told; the responder of `unknown` has never heard of the certificate. */
  readonly status?: 'good' | 'revoked' | 'unknown';
  /** Who signs: the CA itself unless told. */
  readonly signer?: KeyAndCertificate;
  /** 1 unless told; 0: the response says of no end. */
  readonly days?: number;
}

export interface OcspResponder {
  /** A response in DER about the certificate. */
  answer(about: KeyAndCertificate, request?: ResponseRequest): Promise<Buffer>;
  /** A certificate of the CA's that may sign responses in its place. */
  delegate(): Promise<KeyAndCertificate>;
}

/** The responder of a CA; its files are gone with the test. */
export async function ocspResponder(t: Pick<TestContext, 'after'>, ca: TestCa): Promise<OcspResponder> {
  const folder = await temporaryFolder(t);
  const at = (name: string) => path.join(folder, name);
  const openssl = (...args: readonly string[]) => run('openssl', args, { cwd: folder, timeout: 60_000 });
  await writeFile(at('ca.crt'), ca.caPem);
  await writeFile(at('ca.key'), ca.caKeyPem);

  return {
    answer: async (about, { status = 'good', signer = { certPem: ca.caPem, keyPem: ca.caKeyPem }, days = 1 } = {}) => {
      const { serialNumber } = new X509Certificate(about.certPem);
      const [flag, revokedAt] = status === 'revoked' ? ['R', '250101000000Z,keyCompromise'] : ['V', ''];
      const row = `${[flag, '491231235959Z', revokedAt, serialNumber, 'unknown', '/CN=x'].join('\t')}\n`;
      await writeFile(at('index.txt'), status === 'unknown' ? '' : row);
      await writeFile(at('index.txt.attr'), 'unique_subject = no\n');
      await writeFile(at('leaf.crt'), about.certPem);
      await writeFile(at('signer.crt'), signer.certPem);
      await writeFile(at('signer.key'), signer.keyPem);
      const signing = ['-index', 'index.txt', '-CA', 'ca.crt', '-rsigner', 'signer.crt', '-rkey', 'signer.key'];
      const end = days === 0 ? [] : ['-ndays', String(days)];
      await openssl('ocsp', ...signing, ...end, '-issuer', 'ca.crt', '-cert', 'leaf.crt', '-noverify', '-respout', 'response.der');
      return readFile(at('response.der'));
    },
    delegate: async () => {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'delegate.key'];
      await openssl('req', '-new', ...key, '-subj', '/CN=responder', '-out', 'delegate.csr');
      await writeFile(at('delegate.ext'), 'extendedKeyUsage = OCSPSigning\n');
      const issuing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1', '-extfile', 'delegate.ext'];
      await openssl('x509', '-req', '-in', 'delegate.csr', ...issuing, '-out', 'delegate.crt');
      return { certPem: await readFile(at('delegate.crt'), 'utf8'), keyPem: await readFile(at('delegate.key'), 'utf8') };
    },
  };
}
