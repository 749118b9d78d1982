/** Reads the files of UpstreamTls and proves that they can be used, since Node.js itself takes a garbage CA in silence. */
import { createSecureContext } from 'node:tls';
import type { UpstreamTls, UpstreamTlsMaterial } from '../domain/model.ts';
import type { KeyPair, KeyPairFiles } from '../domain/tls-material.ts';
import { purposeWarnings } from './own-certificate.ts';
import {
  attemptFile,
  joined,
  type ParsedCertificate,
  readAuthorities,
  readChain,
  readPrivateKey,
  refuseForeignKey,
  type TlsFileOptions,
  validityWarnings,
} from './pem-files.ts';
import type { FileEnd } from './tls-ends.ts';

export interface LoadedUpstreamTls {
  readonly material: UpstreamTlsMaterial;
  /** One line each: what still works but will not for long, or is not safe. */
  readonly warnings: readonly string[];
  /** When it ends: the first end of each file. */
  readonly ends: readonly FileEnd[];
}

/** What the files hold, verified. @throws TlsFileError for the first thing that is wrong. */
export function loadUpstreamTls(settings: UpstreamTls, options: TlsFileOptions): LoadedUpstreamTls {
  const { ca, clientCertificate, insecureSkipVerify } = settings;
  const nowMs = options.nowMs ?? Date.now();
  const warnings = insecureSkipVerify
    ? [
        'upstreamTls.insecureSkipVerify: the certificates of the upstream servers are not verified; anybody between can read and change the bytes',
      ]
    : [];
  const authorities = ca === undefined ? undefined : attemptFile('ca', ca, readAuthorities);
  for (const { certificate } of authorities ?? []) warnings.push(...validityWarnings(`upstreamTls.ca ${ca}`, certificate, nowMs));
  const loaded = clientCertificate === undefined ? undefined : loadKeyPair(clientCertificate, options, nowMs);
  return {
    material: { caPem: authorities === undefined ? undefined : joined(authorities), keyPair: loaded?.keyPair },
    warnings: [...warnings, ...(loaded?.warnings ?? [])],
    ends: [
      // A CA that nobody is held against ends without a consequence.
      ...(ca === undefined || authorities === undefined || insecureSkipVerify ? [] : [firstEnd('upstream_ca', ca, authorities)]),
      ...(loaded?.ends ?? []),
    ],
  };
}

function loadKeyPair({ certificate, privateKey }: KeyPairFiles, options: TlsFileOptions, nowMs: number) {
  const chain = attemptFile('certificate', certificate, readChain);
  const key = attemptFile('privateKey', privateKey, (file) => readPrivateKey(file, options.allowInsecureKeyPermissions));
  attemptFile('privateKey', privateKey, () => refuseForeignKey(chain, key.object, certificate));
  const keyPair: KeyPair = { certificatePem: joined(chain), privateKeyPem: key.pem };
  createSecureContext({ cert: keyPair.certificatePem, key: keyPair.privateKeyPem });
  const which = `upstreamTls.certificate ${certificate}`;
  return {
    keyPair,
    warnings: [
      ...chain.flatMap((each) => validityWarnings(which, each.certificate, nowMs)),
      ...purposeWarnings(which, chain[0].certificate, 'servers'),
    ],
    ends: [firstEnd('upstream_certificate', certificate, chain)],
  };
}

function firstEnd(kind: FileEnd['kind'], file: string, certificates: readonly ParsedCertificate[]): FileEnd {
  return { kind, file, endsAtMs: Math.min(...certificates.map(({ certificate }) => certificate.validToDate.getTime())) };
}
