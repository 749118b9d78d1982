/** Reads the files of TlsParams and proves that they can be served, since Node.js itself takes a garbage CA in silence. */
import { createPrivateKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { KeyPair, KeyPairFiles, TlsMaterial, TlsParams } from '../domain/model.ts';
import type { TicketKey } from '../domain/session-tickets.ts';
import { type RevocationList, readRevocationList } from './crl.ts';
import { type PemBlock, pemBlocks } from './pem.ts';
import { readBoundedFile, UnreadableFileError } from './read-file.ts';

/** The keys of TlsParams and UpstreamTls that name files, as paths. */
export type TlsFileKey = keyof KeyPairFiles | `certificates[${number}].${keyof KeyPairFiles}` | 'caCert' | 'crl' | 'ca';

/** A TLS file that cannot be used: one line, `key file: reason and what to do`. */
export class TlsFileError extends Error {
  readonly key: TlsFileKey;
  readonly file: string;
  /** The message without key and file. */
  readonly reason: string;

  constructor(key: TlsFileKey, file: string, reason: string) {
    super(`${key} ${file}: ${reason}`);
    this.name = 'TlsFileError';
    this.key = key;
    this.file = file;
    this.reason = reason;
  }
}

export interface TlsFileOptions {
  /** Take a private key that every user of the machine may read. */
  readonly allowInsecureKeyPermissions: boolean;
  /** Milliseconds since 1970; the present without it. */
  readonly nowMs?: number;
}

export interface LoadedTls {
  readonly material: TlsMaterial;
  /** One line each: what still works but will not for long, or not for all. */
  readonly warnings: readonly string[];
}

/** Everything that is wrong with the files, or what they hold. */
export type InspectedTls = LoadedTls | { readonly errors: readonly TlsFileError[] };

const WARN_BEFORE_MS = 30 * 86_400_000;
/** Lists are often made for a week; a day is what it takes to notice and renew one. */
const WARN_BEFORE_LIST_ENDS_MS = 86_400_000;
const KEY_LABEL = /^(?:(?:RSA |EC |ENCRYPTED )?PRIVATE KEY)$/;

/** What the files hold, verified. @throws TlsFileError for the first thing that is wrong. */
export function loadTlsMaterial(params: TlsParams, options: TlsFileOptions): LoadedTls {
  const inspected = inspectTlsFiles(params, options);
  if (!('errors' in inspected)) return inspected;
  const [first] = inspected.errors;
  throw first ?? new Error('TLS files were refused without a reason');
}

/** As {@link loadTlsMaterial}, with every error instead of the first. */
export function inspectTlsFiles(params: TlsParams, options: TlsFileOptions): InspectedTls {
  const errors: TlsFileError[] = [];
  const attempt = <T>(key: TlsFileKey, file: string, read: (file: string) => T): T | undefined => {
    try {
      return attemptFile(key, file, read);
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      errors.push(error);
      return undefined;
    }
  };

  const readPair = (prefix: '' | `certificates[${number}].`, { certificate, privateKey }: KeyPairFiles): ReadPair | undefined => {
    const chain = attempt(`${prefix}certificate`, certificate, readChain);
    const key = attempt(`${prefix}privateKey`, privateKey, (file) => readPrivateKey(file, options.allowInsecureKeyPermissions));
    if (chain === undefined || key === undefined) return undefined;
    attempt(`${prefix}privateKey`, privateKey, () => refuseForeignKey(chain, key.object, certificate));
    return { key: `${prefix}certificate`, file: certificate, chain, pem: { certificatePem: joined(chain), privateKeyPem: key.pem } };
  };

  const main = readPair('', params);
  const more = params.certificates.map((files, index) => readPair(`certificates[${index}].`, files)).filter((pair) => pair !== undefined);
  const authorities = attempt('caCert', params.caCert, readAuthorities);
  const nowMs = options.nowMs ?? Date.now();
  const revocations = params.crl === undefined ? undefined : attempt('crl', params.crl, readRevocations);
  if (revocations !== undefined && authorities !== undefined && params.crl !== undefined)
    attempt('crl', params.crl, () => refuseUselessLists(revocations.lists, authorities, params.caCert, nowMs));
  if (errors.length > 0 || main === undefined || authorities === undefined) return { errors };

  const { minVersion, ciphers } = params;
  const material: TlsMaterial = {
    ...main.pem,
    certificates: more.map(({ pem }) => pem),
    caPem: joined(authorities),
    crlPem: revocations?.pem,
    minVersion,
    ciphers,
    // Made anew with the files: what they refuse now is not let in by a ticket of before.
    sessionTickets: params.sessionTickets
      ? { keys: [newTicketKey(nowMs)], turningPointsMs: turningPoints(authorities, revocations?.lists ?? []) }
      : undefined,
  };
  for (const { key, file, pem } of [main, ...more]) attempt(key, file, () => refuseWhatOpensslRefuses({ ...material, ...pem }));
  if (errors.length > 0) return { errors };
  const dated = [
    ...[main, ...more].flatMap(({ key, file, chain }) => chain.map((each) => [key, file, each] as const)),
    ...authorities.map((each) => ['caCert', params.caCert, each] as const),
  ];
  const warnings = dated.flatMap(([name, file, { certificate }]) => validityWarnings(`${name} ${file}`, certificate, nowMs));
  if (revocations !== undefined) warnings.push(...revocationWarnings(`crl ${params.crl}`, revocations.lists, authorities, nowMs));
  return { material, warnings };
}

/** A certificate and its key, and where the certificate is from. */
interface ReadPair {
  readonly key: TlsFileKey;
  readonly file: string;
  readonly chain: readonly ParsedCertificate[];
  readonly pem: KeyPair;
}

/** `nowMs` is milliseconds since 1970. */
export function newTicketKey(nowMs: number): TicketKey {
  return { bytes: randomBytes(48), madeAtMs: nowMs };
}

function turningPoints(authorities: readonly ParsedCertificate[], lists: readonly RevocationList[]): readonly number[] {
  return [
    ...authorities.flatMap(({ certificate: { validFromDate, validToDate } }) => [validFromDate.getTime(), validToDate.getTime()]),
    ...lists.flatMap(({ nextUpdate }) => (nextUpdate === undefined ? [] : [nextUpdate.getTime()])),
  ];
}

/** Why a file is refused. */
class Refusal extends Error {}

/** What `read` makes of one file. @throws TlsFileError when it refuses it */
export function attemptFile<T>(key: TlsFileKey, file: string, read: (file: string) => T): T {
  try {
    return read(file);
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof UnreadableFileError)) throw error;
    throw new TlsFileError(key, file, error.message);
  }
}

/** One certificate of a file. */
export interface ParsedCertificate {
  readonly pem: string;
  readonly certificate: X509Certificate;
}

function readBlocks(file: string, expected: string): readonly PemBlock[] {
  const bytes = readBoundedFile(file);
  if (bytes.length === 0) throw new Refusal(`the file is empty; expected ${expected}`);
  const blocks = pemBlocks(bytes.toString('utf8'));
  if ('problem' in blocks) throw new Refusal(blocks.problem);
  if (blocks.length > 0) return blocks;
  const isDer = bytes[0] === 0x30;
  throw new Refusal(
    `there is no PEM block in it; expected ${expected}${isDer ? ' (it looks like DER: convert it with openssl and -inform DER)' : ''}`,
  );
}

/** The leaf, then its intermediates. Other blocks, such as the key in a combined file, are let be. For {@link attemptFile}. */
export function readChain(file: string): readonly [ParsedCertificate, ...ParsedCertificate[]] {
  const expected = 'the server certificate as -----BEGIN CERTIFICATE-----';
  const [leaf, ...intermediates] = readBlocks(file, expected)
    .filter(({ label }) => label === 'CERTIFICATE')
    .map(parseCertificate);
  if (leaf === undefined) throw new Refusal(`there is no certificate in it; expected ${expected}`);
  return [leaf, ...intermediates];
}

/** Certificates of CAs, and nothing else. For {@link attemptFile}. */
export function readAuthorities(file: string): readonly ParsedCertificate[] {
  const blocks = readBlocks(file, 'CA certificates as -----BEGIN CERTIFICATE-----');
  return blocks.map((block) => {
    if (block.label !== 'CERTIFICATE') throw new Refusal(`line ${block.line} begins a ${block.label}; expected CA certificates only`);
    const parsed = parseCertificate(block);
    if (!parsed.certificate.ca)
      throw new Refusal(`the certificate in line ${block.line} is not a CA certificate (CA:TRUE); name the CA that signs the certificates`);
    return parsed;
  });
}

function parseCertificate({ pem, line }: PemBlock): ParsedCertificate {
  try {
    return { pem, certificate: new X509Certificate(pem) };
  } catch {
    throw new Refusal(`the block in line ${line} is not a certificate; the file is damaged`);
  }
}

/** One key that no other user may read. For {@link attemptFile}. */
export function readPrivateKey(file: string, allowInsecurePermissions: boolean): { readonly pem: string; readonly object: KeyObject } {
  const expected = 'a private key as -----BEGIN PRIVATE KEY-----';
  const [block, ...others] = readBlocks(file, expected).filter(({ label }) => KEY_LABEL.test(label));
  if (block === undefined) throw new Refusal(`there is no private key in it; expected ${expected}`);
  if (others.length > 0) throw new Refusal(`there are ${others.length + 1} private keys in it; expected one`);
  const mode = statSync(file).mode & 0o777;
  if (!allowInsecurePermissions && (mode & 0o007) !== 0) {
    throw new Refusal(
      `every user may read it (mode ${mode.toString(8).padStart(4, '0')}); run chmod 600 ${file}, or allow it with --insecure-key-permissions`,
    );
  }
  if (block.label.startsWith('ENCRYPTED') || /^Proc-Type:.*ENCRYPTED/m.test(block.pem)) {
    throw new Refusal(`the key is encrypted; decrypt it with openssl pkey -in ${file} -out NEW.key, and name that file`);
  }
  try {
    return { pem: block.pem, object: createPrivateKey(block.pem) };
  } catch {
    throw new Refusal(`the block in line ${block.line} is not a private key; the file is damaged`);
  }
}

interface Revocations {
  readonly pem: string;
  readonly lists: readonly RevocationList[];
}

function readRevocations(file: string): Revocations {
  const blocks = readBlocks(file, 'revocation lists as -----BEGIN X509 CRL-----');
  const lists = blocks.map(({ label, line, pem }) => {
    if (label === 'CRL')
      throw new Refusal(
        `line ${line} says BEGIN CRL, which OpenSSL does not read; write X509 CRL in place of CRL in the BEGIN and END lines`,
      );
    if (label !== 'X509 CRL') throw new Refusal(`line ${line} begins a ${label}; expected -----BEGIN X509 CRL-----`);
    try {
      createSecureContext({ crl: pem });
      return readRevocationList(pem);
    } catch {
      throw new Refusal(`the block in line ${line} is not a revocation list; the file is damaged`);
    }
  });
  return { pem: joined(blocks), lists };
}

/** A list that has ended, or that is of no CA named, makes OpenSSL refuse everybody: better no start, or the list from before. */
function refuseUselessLists(
  lists: readonly RevocationList[],
  authorities: readonly ParsedCertificate[],
  caFile: string,
  nowMs: number,
): void {
  for (const list of lists) {
    const issuer = JSON.stringify(list.issuer.slice(0, 100));
    if (list.nextUpdate !== undefined && list.nextUpdate.getTime() <= nowMs) {
      const ended = list.nextUpdate.toISOString();
      throw new Refusal(`the list of ${issuer} ended at ${ended}: with it every client would be refused; have the CA write a new one`);
    }
    if (!authorities.some(({ pem }) => list.isOf(pem))) {
      throw new Refusal(`the list is of ${issuer}, which is not among the CAs in ${caFile}; name the list of a CA that is`);
    }
  }
}

function revocationWarnings(
  which: string,
  lists: readonly RevocationList[],
  authorities: readonly ParsedCertificate[],
  nowMs: number,
): string[] {
  const ending = lists.flatMap(({ issuer, nextUpdate }) =>
    nextUpdate !== undefined && nextUpdate.getTime() - nowMs < WARN_BEFORE_LIST_ENDS_MS
      ? [
          `${which}: the list of ${JSON.stringify(issuer.slice(0, 100))} ends at ${nextUpdate.toISOString()}, and then every client is refused; renew it`,
        ]
      : [],
  );
  const unlisted = authorities
    .filter(({ pem }) => !lists.some((list) => list.isOf(pem)))
    .map(
      ({ certificate: { subject } }) =>
        `${which}: there is no list of ${JSON.stringify(subject.replaceAll('\n', ', ').slice(0, 100))}, so its clients are all refused`,
    );
  return [...ending, ...unlisted];
}

/** The key must be the leaf's. For {@link attemptFile}. */
export function refuseForeignKey(
  [leaf, ...intermediates]: readonly [ParsedCertificate, ...ParsedCertificate[]],
  key: KeyObject,
  certificateFile: string,
): void {
  if (leaf.certificate.checkPrivateKey(key)) return;
  if (intermediates.some(({ certificate }) => certificate.checkPrivateKey(key))) {
    throw new Refusal(`the key belongs to a later certificate in ${certificateFile}; put the server's own certificate first there`);
  }
  throw new Refusal(`the key does not match the certificate in ${certificateFile}; name the key that the certificate was made for`);
}

function refuseWhatOpensslRefuses({ certificatePem, privateKeyPem, caPem, crlPem, minVersion, ciphers }: TlsMaterial): void {
  try {
    createSecureContext({ cert: certificatePem, key: privateKeyPem, ca: caPem, crl: crlPem, minVersion, ciphers });
  } catch (error) {
    const reason = error instanceof Error && 'reason' in error ? String(error.reason) : String(error);
    throw new Refusal(`OpenSSL refuses it: ${reason}`);
  }
}

/** What is worth a line about when the certificate is valid. */
export function validityWarnings(which: string, { validFromDate, validToDate, subject }: X509Certificate, nowMs: number): string[] {
  const day = (date: Date) => date.toISOString().slice(0, 10);
  const name = JSON.stringify(subject.replaceAll('\n', ', ').slice(0, 100));
  if (validToDate.getTime() <= nowMs) return [`${which}: ${name} expired on ${day(validToDate)}; renew it`];
  if (validFromDate.getTime() > nowMs)
    return [`${which}: ${name} is valid only from ${day(validFromDate)}; look at the clock of this machine`];
  if (validToDate.getTime() - nowMs < WARN_BEFORE_MS) return [`${which}: ${name} expires on ${day(validToDate)}; renew it`];
  return [];
}

/** One PEM text of several. */
export function joined(blocks: readonly { readonly pem: string }[]): string {
  return blocks.map(({ pem }) => pem).join('');
}
