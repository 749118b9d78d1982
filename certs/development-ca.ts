/** The development CA: a folder with a root, a server, two client and one operator certificate. `npm run certs` runs it. */
import { createPrivateKey, randomUUID, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { CertificateAuthority, type CertificateRequest, validFor } from './issuing.ts';

const CA_DAYS = 3650;
const LEAF_DAYS = 365;

interface Leaf {
  readonly name: string;
  readonly commonName: string;
  readonly organizationalUnit?: string;
  readonly hosts: readonly string[];
  readonly purpose: CertificateRequest['purpose'];
}

const LEAVES: readonly Leaf[] = [
  { name: 'loadbalancer', commonName: 'loadbalancer', hosts: ['localhost', 'loadbalancer', '127.0.0.1', '::1'], purpose: 'server' },
  { name: 'clientA', commonName: 'clientA.bardomain.com', hosts: ['clientA.bardomain.com'], purpose: 'client' },
  { name: 'clientB', commonName: 'clientB.bardomain.com', hosts: ['clientB.bardomain.com'], purpose: 'client' },
  { name: 'operator', commonName: 'admin', organizationalUnit: 'admin', hosts: [], purpose: 'client' },
];

/** What {@link ensureDevelopmentCertificates} did: base names, `rootCA` among them. */
export interface DevelopmentCertificates {
  readonly folder: string;
  readonly made: readonly string[];
  readonly kept: readonly string[];
}

/**
 * Completes the folder: makes what is missing, keeps what is there and fits. A leaf that has expired, has lost its key or comes
 * from another root is made anew; `force` makes everything anew. Root 10 years, leaves 1 year; keys are 0600 from the start.
 * @throws Error with one line that says what to do, when something must be signed and the root's key is not there.
 */
export async function ensureDevelopmentCertificates(
  folder: string,
  options: { readonly force?: boolean; readonly nowMs?: number } = {},
): Promise<DevelopmentCertificates> {
  const { force = false, nowMs = Date.now() } = options;
  await mkdir(folder, { recursive: true });
  const made: string[] = [];
  const kept: string[] = [];
  const root = force ? undefined : await readRoot(folder, nowMs);
  const ca = root ?? (await createRoot(folder, nowMs));
  (root === undefined ? made : kept).push('rootCA');
  const rootCertificate = new X509Certificate(ca.certPem);
  for (const leaf of LEAVES) {
    if (!force && (await isUsable(folder, leaf.name, rootCertificate, nowMs))) {
      kept.push(leaf.name);
      continue;
    }
    const { certPem, keyPem } = await signer(ca, folder).issue(requestFor(leaf, nowMs));
    await writePair(folder, leaf.name, { certFile: `${leaf.name}.crt`, certPem, keyPem });
    made.push(leaf.name);
  }
  return { folder, made, kept };
}

/** The root on disk; its key may be missing (then it can verify, but not sign). */
interface Root {
  readonly certPem: string;
  readonly keyPem: string | undefined;
}

/** undefined: there is none, or it has expired. A key alone is what an interrupted run leaves: its root is made anew. */
async function readRoot(folder: string, nowMs: number): Promise<Root | undefined> {
  const file = path.join(folder, 'rootCA.pem');
  const certPem = await readIfThere(file);
  if (certPem === undefined) return undefined;
  const certificate = parsed(file, () => new X509Certificate(certPem));
  if (!isCurrent(certificate, nowMs)) return undefined;
  const keyFile = path.join(folder, 'rootCA.key');
  const keyPem = await readIfThere(keyFile);
  if (keyPem !== undefined && !certificate.checkPrivateKey(parsed(keyFile, () => createPrivateKey(keyPem)))) {
    throw new Error(`${keyFile} is not the key of ${file}; put the right one there, or make everything anew with --force`);
  }
  return { certPem, keyPem };
}

async function createRoot(folder: string, nowMs: number): Promise<Root> {
  const { certPem, keyPem } = await CertificateAuthority.create('Portcullis development CA', validFor(CA_DAYS, nowMs));
  await writePair(folder, 'rootCA', { certFile: 'rootCA.pem', certPem, keyPem });
  return { certPem, keyPem };
}

function signer({ certPem, keyPem }: Root, folder: string): CertificateAuthority {
  if (keyPem !== undefined) return CertificateAuthority.fromPem(certPem, keyPem);
  // Somebody's own root, perhaps: never replaced unasked.
  throw new Error(
    `${path.join(folder, 'rootCA.pem')} has no rootCA.key beside it to sign with; put it there, or make everything anew with --force`,
  );
}

async function isUsable(folder: string, name: string, root: X509Certificate, nowMs: number): Promise<boolean> {
  const certPem = await readIfThere(path.join(folder, `${name}.crt`));
  const keyPem = await readIfThere(path.join(folder, `${name}.key`));
  if (certPem === undefined || keyPem === undefined) return false;
  try {
    const certificate = new X509Certificate(certPem);
    const fromRoot = certificate.checkIssued(root) && certificate.verify(root.publicKey);
    return fromRoot && isCurrent(certificate, nowMs) && certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

function isCurrent({ validFromDate, validToDate }: X509Certificate, nowMs: number): boolean {
  return validFromDate.getTime() <= nowMs && nowMs < validToDate.getTime();
}

function requestFor(leaf: Leaf, nowMs: number): CertificateRequest {
  return {
    commonNames: [leaf.commonName],
    organizationalUnits: leaf.organizationalUnit === undefined ? [] : [leaf.organizationalUnit],
    dnsNames: leaf.hosts.filter((host) => isIP(host) === 0),
    uriNames: [],
    ipAddresses: leaf.hosts.filter((host) => isIP(host) !== 0),
    purpose: leaf.purpose,
    validity: validFor(LEAF_DAYS, nowMs),
  };
}

/** The key first: a certificate without its key would look finished. */
async function writePair(folder: string, name: string, pair: { certFile: string; certPem: string; keyPem: string }): Promise<void> {
  await replaceFile(path.join(folder, `${name}.key`), pair.keyPem, 0o600);
  await replaceFile(path.join(folder, pair.certFile), pair.certPem, 0o644);
}

/** A new file with its mode from the start, then renamed: never half-written, and never readable with an older file's mode. */
async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const fresh = `${file}.${randomUUID()}.new`;
  try {
    await writeFile(fresh, text, { mode, flag: 'wx' });
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function parsed<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new Error(`${file} cannot be read as PEM; remove it, or make everything anew with --force`, { cause: error });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { force: { type: 'boolean', default: false } }, allowPositionals: true });
  const folder = positionals[0] ?? 'certs';
  const { made, kept } = await ensureDevelopmentCertificates(folder, { force: values.force });
  if (made.length > 0) console.log(`${folder}: made ${made.join(', ')}`);
  if (kept.length > 0) console.log(`${folder}: kept ${kept.join(', ')} (--force makes them anew)`);
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    console.error(`certs: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  });
}
