/** Signatures of X.509: certificates, revocation lists and OCSP responses name their algorithm in the same way. */
import { constants, type KeyObject, verify } from 'node:crypto';
import { contentOf, DER_TAG, type DerValue, derValues, explicitTag, valuesIn } from '../domain/der.ts';

/** Bytes, and the signature that is to be theirs. */
export interface Signed {
  readonly signed: Buffer;
  /** AlgorithmIdentifier. */
  readonly algorithm: DerValue | undefined;
  readonly signature: Buffer;
}

/** DER of the object identifiers, hex -> the hash that is signed; null: the algorithm has one of its own. */
const ALGORITHMS: Readonly<Record<string, string | null>> = {
  '2a864886f70d010105': 'sha1',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d0401': 'sha1',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2b6570': null,
  '2b6571': null,
};
const RSA_PSS = '2a864886f70d01010a';
const MGF1 = '2a864886f70d010108';
const HASHES: Readonly<Record<string, string>> = {
  '2b0e03021a': 'sha1',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
};

/** The name that node:crypto has for the hash of an AlgorithmIdentifier; undefined: it is none of SHA-1 and SHA-2. @throws Error for damaged DER */
export function hashNamed(algorithm: DerValue | undefined): string | undefined {
  return HASHES[oidIn(algorithm)];
}

/** Whether the key has made the signature; undefined: the algorithm is not known here. */
export function isSignedWith({ signed, algorithm, signature }: Signed, key: KeyObject): boolean | undefined {
  try {
    const oid = oidIn(algorithm);
    const pss = oid === RSA_PSS ? pssParameters(valuesIn(algorithm)[1]) : undefined;
    const hash = pss?.hash ?? ALGORITHMS[oid];
    if (hash === undefined) return undefined;
    return pss === undefined
      ? verify(hash, signed, key, signature)
      : verify(hash, signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: pss.saltLength }, signature);
  } catch {
    // A key of another kind than the algorithm's, or an algorithm that is damaged.
    return false;
  }
}

/** RFC 4055, section 3.1, with its defaults; undefined: in a way that node:crypto does not do. */
function pssParameters(parameters: DerValue | undefined): { readonly hash: string; readonly saltLength: number } | undefined {
  if (parameters === undefined) return undefined;
  const fields = new Map(valuesIn(parameters).map(({ tag, content }) => [tag, derValues(content)[0]]));
  const [hashes, mask, salt] = [0, 1, 2].map((n) => fields.get(explicitTag(n)));
  const hash = hashes === undefined ? 'sha1' : hashNamed(hashes);
  const maskHash = mask === undefined ? 'sha1' : oidIn(mask) === MGF1 ? hashNamed(valuesIn(mask)[1]) : undefined;
  const saltBytes = salt === undefined ? undefined : contentOf(salt, DER_TAG.integer);
  if (hash === undefined || hash !== maskHash || (saltBytes !== undefined && saltBytes.length > 2)) return undefined;
  return { hash, saltLength: saltBytes === undefined ? 20 : saltBytes.readIntBE(0, saltBytes.length) };
}

function oidIn(algorithm: DerValue | undefined): string {
  return contentOf(valuesIn(algorithm)[0], DER_TAG.oid).toString('hex');
}
