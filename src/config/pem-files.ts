/** Reads one PEM file that TLS settings name, and refuses in one line what cannot be used. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { nameText } from '../domain/name-text.ts';
import type { ServedKeyPairFiles } from '../domain/tls-material.ts';
import { type PemBlock, pemBlocks } from './pem.ts';
import { readBoundedFile, UnreadableFileError } from './read-file.ts';

/** Where a certificate and what goes with it stand in TlsParams. */
export type PairPrefix = '' | `certificates[${number}].`;

/** The keys of TlsParams and UpstreamTls that name files, as paths. */
export type TlsFileKey = `${PairPrefix}${keyof ServedKeyPairFiles}` | 'caCert' | 'crl' | 'ca';

/** A TLS file that cannot be used: one line, `key file: reason and what to do`, and whose it is before it once that is known. */
export class TlsFileError extends Error {
  readonly key: TlsFileKey;
  readonly file: string;
  /** The message without key and file. */
  readonly reason: string;

  /** `settings` are those that the key stands in, such as `listener "main": `. */
  constructor(key: TlsFileKey, file: string, reason: string, settings = '') {
    super(`${settings}${key} ${file}: ${reason}`);
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

const WARN_BEFORE_MS = 30 * 86_400_000;
const KEY_LABEL = /^(?:(?:RSA |EC |ENCRYPTED )?PRIVATE KEY)$/;
/** Characters of a name in a message. */
const MAX_NAME = 100;

/** Why a file is refused; {@link attemptFile} says of which one. */
export class Refusal extends Error {}

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

/** The PEM blocks of a file, at least one. For {@link attemptFile}. */
export function readBlocks(file: string, expected: string): readonly PemBlock[] {
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

/** The name of a certificate or of a list's issuer as it stands in messages: quoted (in it a quote is escaped), on one line, and short. */
export function quotedName(name: string): string {
  return `"${nameText(name, MAX_NAME)}"`;
}

/** What is worth a line about when the certificate is valid. */
export function validityWarnings(which: string, { validFromDate, validToDate, subject }: X509Certificate, nowMs: number): string[] {
  const day = (date: Date) => date.toISOString().slice(0, 10);
  const name = quotedName(subject);
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
