/** Reads the files of TlsParams and proves that they can be served, since Node.js itself takes a garbage CA in silence. */
import { randomBytes } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { TicketKey } from '../domain/session-tickets.ts';
import type { KeyPair, OcspStaple, ServedKeyPairFiles, TlsMaterial, TlsParams } from '../domain/tls-material.ts';
import type { RevocationList } from './crl.ts';
import { readStaple, stapleWarnings } from './ocsp.ts';
import { neverServedWarnings, purposeWarnings, refuseEnded } from './own-certificate.ts';
import {
  attemptFile,
  joined,
  type PairPrefix,
  type ParsedCertificate,
  Refusal,
  readAuthorities,
  readChain,
  readPrivateKey,
  refuseForeignKey,
  TlsFileError,
  type TlsFileKey,
  type TlsFileOptions,
  validityWarnings,
} from './pem-files.ts';
import { readRevocations, revocationWarnings } from './revocation-files.ts';
import { refuseUselessLists } from './useless-lists.ts';

export { TlsFileError, type TlsFileOptions } from './pem-files.ts';

export interface LoadedTls {
  readonly material: TlsMaterial;
  /** One line each: what still works but will not for long, or not for all. */
  readonly warnings: readonly string[];
}

/** Everything that is wrong with the files, or what they hold. */
export type InspectedTls = LoadedTls | { readonly errors: readonly TlsFileError[] };

/**
 * What the files hold, verified. With `inForce`, what they held before, an ended certificate is refused in the place of one that has not.
 * @throws TlsFileError for the first thing that is wrong.
 */
export function loadTlsMaterial(params: TlsParams, options: TlsFileOptions, inForce?: TlsMaterial): LoadedTls {
  const inspected = inspectTlsFiles(params, options, inForce);
  if (!('errors' in inspected)) return inspected;
  const [first] = inspected.errors;
  throw first ?? new Error('TLS files were refused without a reason');
}

/** As {@link loadTlsMaterial}, with every error instead of the first. */
export function inspectTlsFiles(params: TlsParams, options: TlsFileOptions, inForce?: TlsMaterial): InspectedTls {
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

  const nowMs = options.nowMs ?? Date.now();
  const readPair = (
    prefix: PairPrefix,
    { certificate, privateKey, ocspResponse }: ServedKeyPairFiles,
    before: KeyPair | undefined,
  ): ReadPair | undefined => {
    const chain = attempt(`${prefix}certificate`, certificate, readChain);
    const key = attempt(`${prefix}privateKey`, privateKey, (file) => readPrivateKey(file, options.allowInsecureKeyPermissions));
    if (chain === undefined || key === undefined) return undefined;
    attempt(`${prefix}privateKey`, privateKey, () => refuseForeignKey(chain, key.object, certificate));
    if (before !== undefined) attempt(`${prefix}certificate`, certificate, () => refuseEnded(chain[0], before.certificatePem, nowMs));
    return { prefix, file: certificate, chain, pem: { certificatePem: joined(chain), privateKeyPem: key.pem }, ocspResponse };
  };

  const main = readPair('', params, inForce);
  const more = params.certificates
    .map((files, index) => readPair(`certificates[${index}].`, files, inForce?.certificates[index]))
    .filter((pair) => pair !== undefined);
  const authorities = attempt('caCert', params.caCert, readAuthorities);
  const revocations = params.crl === undefined ? undefined : attempt('crl', params.crl, readRevocations);
  if (revocations !== undefined && authorities !== undefined && params.crl !== undefined)
    attempt('crl', params.crl, () => refuseUselessLists(revocations.lists, authorities, params.caCert, nowMs));
  if (errors.length > 0 || main === undefined || authorities === undefined) return { errors };

  const { minVersion, ciphers } = params;
  const stapleOf = ({ prefix, chain: [leaf, ...intermediates], ocspResponse: file }: ReadPair): OcspStaple | undefined => {
    const issuers = [...intermediates, ...authorities, leaf].map(({ certificate }) => certificate);
    if (file !== undefined) return attempt(`${prefix}ocspResponse`, file, () => readStaple(file, leaf.certificate, issuers, nowMs));
    return undefined;
  };
  const material: TlsMaterial = {
    ...main.pem,
    ocsp: stapleOf(main),
    certificates: more.map((pair) => ({ ...pair.pem, ocsp: stapleOf(pair) })),
    caPem: joined(authorities),
    crlPem: revocations?.pem,
    minVersion,
    ciphers,
    // Made anew with the files: what they refuse now is not let in by a ticket of before.
    sessionTickets: params.sessionTickets
      ? { keys: [newTicketKey(nowMs)], turningPointsMs: turningPoints(authorities, revocations?.lists ?? []) }
      : undefined,
  };
  for (const { prefix, file, pem } of [main, ...more])
    attempt(`${prefix}certificate`, file, () => refuseWhatOpensslRefuses({ ...material, ...pem }));
  if (errors.length > 0) return { errors };
  const dated = [
    ...[main, ...more].flatMap(({ prefix, file, chain }) => chain.map((each) => [`${prefix}certificate`, file, each] as const)),
    ...authorities.map((each) => ['caCert', params.caCert, each] as const),
  ];
  const warnings = dated.flatMap(([name, file, { certificate }]) => validityWarnings(`${name} ${file}`, certificate, nowMs));
  for (const { prefix, file, chain } of [main, ...more])
    warnings.push(...purposeWarnings(`${prefix}certificate ${file}`, chain[0].certificate, 'clients'));
  const leaves = more.map(({ chain }) => chain[0].certificate);
  const whichOf = (index: number) => `certificates[${index}].certificate ${more[index]?.file}`;
  warnings.push(...neverServedWarnings(whichOf, main.chain[0].certificate, leaves));
  for (const [index, { prefix, ocspResponse }] of [main, ...more].entries())
    warnings.push(...stapleWarnings(`${prefix}ocspResponse ${ocspResponse}`, [material, ...material.certificates][index]?.ocsp, nowMs));
  if (revocations !== undefined) warnings.push(...revocationWarnings(`crl ${params.crl}`, revocations.lists, authorities, nowMs));
  return { material, warnings };
}

/** A certificate and its key, where the certificate is from, and the file with its OCSP response. */
interface ReadPair {
  readonly prefix: PairPrefix;
  readonly file: string;
  readonly chain: readonly [ParsedCertificate, ...ParsedCertificate[]];
  readonly pem: KeyPair;
  readonly ocspResponse: string | undefined;
}

/** `nowMs` is milliseconds since 1970. */
export function newTicketKey(nowMs: number): TicketKey {
  return { bytes: randomBytes(48), madeAtMs: nowMs };
}

function turningPoints(authorities: readonly ParsedCertificate[], lists: readonly RevocationList[]): readonly number[] {
  return [
    ...authorities.flatMap(({ certificate: { validFromDate, validToDate } }) => [validFromDate.getTime(), validToDate.getTime()]),
    ...lists.flatMap(({ thisUpdate, nextUpdate }) => [thisUpdate, nextUpdate ?? thisUpdate].map((date) => date.getTime())),
  ];
}

function refuseWhatOpensslRefuses({ certificatePem, privateKeyPem, caPem, crlPem, minVersion, ciphers }: TlsMaterial): void {
  try {
    createSecureContext({ cert: certificatePem, key: privateKeyPem, ca: caPem, crl: crlPem, minVersion, ciphers });
  } catch (error) {
    const reason = error instanceof Error && 'reason' in error ? String(error.reason) : String(error);
    throw new Refusal(`OpenSSL refuses it: ${reason}`);
  }
}
