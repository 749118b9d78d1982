import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { certificateVerdict } from '../../src/dataplane/certificate-verdict.ts';
import { Refusal } from '../../src/dataplane/refusal.ts';
import { HandshakeBudget, TlsFront } from '../../src/dataplane/tls.ts';
import type { TlsMaterial } from '../../src/domain/tls-material.ts';
import { certificate, ExtendedKeyUsage, type Issued, KeyUsageFlags, revocationList, root } from '../support/certificate-chains.ts';
import { createTestCa, type TestCa } from '../support/certificates.ts';
import { tlsClient } from '../support/tls-client.ts';

type Verdict = readonly [reason: string, detail: string] | 'trusted';

interface Case {
  /** The leaf first. */
  readonly presented: readonly [Issued, ...Issued[]];
  /** The CA file: the root alone unless told. */
  readonly ca?: readonly Issued[];
  readonly crl?: string;
  /** The code that Node.js gives OpenSSL's verdict (UNSPECIFIED where it has none); empty: it is trusted. */
  readonly expected: string;
  /** What the detail says besides. */
  readonly says?: RegExp;
}

const { keyCertSign, cRLSign, digitalSignature, keyEncipherment } = KeyUsageFlags;
const CLIENT = [ExtendedKeyUsage.clientAuth];

async function cases(): Promise<Readonly<Record<string, Case>>> {
  const [top, stranger] = await Promise.all([root('root'), root('stranger')]);
  const ca = { ca: true, keyUsage: keyCertSign | cRLSign } as const;
  const middle = await certificate({ name: 'middle', issuer: top, ...ca });
  const narrow = await certificate({ name: 'narrow', issuer: top, ...ca, pathLength: 0 });
  const belowNarrow = await certificate({ name: 'below narrow', issuer: narrow, ...ca });
  const noCa = await certificate({ name: 'no CA', issuer: top, ca: false });
  const noSigner = await certificate({ name: 'no signer', issuer: top, ca: true, keyUsage: digitalSignature });
  const forServersOnly = await certificate({ name: 'CA of servers', issuer: top, ...ca, purposes: [ExtendedKeyUsage.serverAuth] });
  const endedCa = await certificate({ name: 'ended CA', issuer: top, ...ca, days: [-3, -1] });
  const leaf = (issuer: Issued, more: Partial<Parameters<typeof certificate>[0]> = {}) =>
    certificate({ name: 'client', issuer, ca: false, keyUsage: digitalSignature, purposes: CLIENT, ...more });
  const plain = await leaf(top);
  const underMiddle = await leaf(middle);
  const list = await revocationList(top, top, []);
  return {
    'of the root': { presented: [plain], expected: '' },
    'without any extension': { presented: [await certificate({ name: 'client', issuer: top })], expected: '' },
    'of an intermediate that it presents': { presented: [underMiddle, middle], expected: '' },
    'of an intermediate in the CA file': { presented: [underMiddle], ca: [top, middle], expected: '' },
    'of an intermediate that nobody shows': { presented: [underMiddle], expected: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
    'of an intermediate whose root is not in the CA file': {
      presented: [underMiddle, middle],
      ca: [stranger],
      expected: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    },
    'with certificates that do not belong to it': { presented: [plain, middle, stranger], expected: '' },
    'with its root': { presented: [underMiddle, middle, top], expected: '' },
    'with the root of somebody else': {
      presented: [await leaf(stranger), stranger],
      expected: 'SELF_SIGNED_CERT_IN_CHAIN',
    },
    'below a CA that may sign no CA': { presented: [await leaf(belowNarrow), belowNarrow, narrow], expected: 'PATH_LENGTH_EXCEEDED' },
    'right below a CA that may sign no CA': { presented: [await leaf(narrow), narrow], expected: '' },
    'of a certificate that is no CA': { presented: [await leaf(noCa), noCa], expected: 'INVALID_PURPOSE' },
    'of a CA that may not sign': { presented: [await leaf(noSigner), noSigner], expected: 'UNSPECIFIED' },
    'of a CA for servers only': { presented: [await leaf(forServersOnly), forServersOnly], expected: 'INVALID_PURPOSE' },
    'of a CA that has ended': { presented: [await leaf(endedCa), endedCa], expected: 'CERT_HAS_EXPIRED' },
    'for any purpose': { presented: [await leaf(top, { purposes: ['2.5.29.37.0'] })], expected: 'INVALID_PURPOSE' },
    'for servers': { presented: [await leaf(top, { purposes: [ExtendedKeyUsage.serverAuth] })], expected: 'INVALID_PURPOSE' },
    'for servers and clients': { presented: [await leaf(top, { purposes: [ExtendedKeyUsage.serverAuth, ...CLIENT] })], expected: '' },
    'with a key that may not sign': { presented: [await leaf(top, { keyUsage: keyEncipherment })], expected: 'INVALID_PURPOSE' },
    'with a critical extension that nobody knows': {
      presented: [await leaf(top, { criticalUnknown: true })],
      expected: 'UNSPECIFIED',
    },
    'not valid yet': { presented: [await leaf(top, { days: [1, 2] })], expected: 'CERT_NOT_YET_VALID' },
    ended: { presented: [await leaf(top, { days: [-3, -1] })], expected: 'CERT_HAS_EXPIRED' },
    'ended, and of nobody known': { presented: [await leaf(stranger, { days: [-3, -1] })], expected: 'CERT_HAS_EXPIRED' },
    'a CA itself': { presented: [top], expected: 'INVALID_PURPOSE' },
    'not on the list': { presented: [plain], crl: list, expected: '' },
    'on the list': { presented: [plain], crl: await revocationList(top, top, [plain]), expected: 'CERT_REVOKED' },
    'on a list that somebody else signed': {
      presented: [plain],
      crl: await revocationList(top, stranger, [plain]),
      expected: 'CRL_SIGNATURE_FAILURE',
    },
    'beside a list that has ended': {
      presented: [plain],
      crl: await revocationList(top, top, [], { days: [-3, -1] }),
      expected: 'CRL_HAS_EXPIRED',
    },
    'with a list of another CA': {
      presented: [plain],
      crl: await revocationList(stranger, stranger, []),
      expected: 'UNABLE_TO_GET_CRL',
      says: /; crl has no list of a CA that it leads to$/,
    },
    'of an intermediate without a list of its own': {
      presented: [underMiddle, middle],
      crl: list,
      expected: 'UNABLE_TO_GET_CRL',
      says: /; crl has no list of a CA that it leads to$/,
    },
    'with the root of somebody else, where there is a list': {
      presented: [await leaf(stranger), stranger],
      crl: list,
      expected: 'UNABLE_TO_GET_CRL',
      says: /; it leads to no CA of caCert: its CA is another one, or an intermediate that the client does not send$/,
    },
    'of an intermediate that is revoked': {
      presented: [underMiddle, middle],
      crl: (await revocationList(top, top, [middle])) + (await revocationList(middle, middle, [])),
      expected: 'CERT_REVOKED',
    },
  };
}

/** What the data plane's own handshake says, on a real socket. */
async function handshakeVerdict(t: TestContext, front: TlsFront, presented: Case['presented'], ca: TestCa): Promise<Verdict> {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const [leaf] = presented;
  const accepted: Promise<Socket[]> = once(server, 'connection');
  const certPem = presented.map((each) => each.certPem).join('');
  const client = tlsClient(t, { port: address.port, ca: ca.caPem, certificate: { certPem, keyPem: leaf.keyPem } });
  client.secured.catch(() => undefined);
  const [raw] = await accepted;
  assert.ok(raw !== undefined);
  try {
    (await front.handshake(raw)).destroy();
    return 'trusted';
  } catch (error) {
    return said(error);
  } finally {
    raw.destroy();
  }
}

function said(verdict: unknown): Verdict {
  if (verdict === undefined) return 'trusted';
  assert.ok(verdict instanceof Refusal, String(verdict));
  return [verdict.reason, verdict.message];
}

const VERSIONS = [
  ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['TLSv1.3', 'TLS_AES_128_GCM_SHA256'],
] as const;

test('the verdict on a certificate is what its handshake comes to, whatever is wrong with it', async (t) => {
  const serving = await createTestCa();
  const { certPem, keyPem } = await serving.issueServer();
  const table = await cases();
  for (const [minVersion, ciphers] of VERSIONS) {
    for (const [name, { presented, ca, crl, expected, says }] of Object.entries(table)) {
      const [leaf, ...rest] = presented.map((each) => new X509Certificate(each.certPem));
      assert.ok(leaf !== undefined);
      const authorities = ca ?? [table['a CA itself']?.presented[0] ?? assert.fail()];
      const material: TlsMaterial = {
        certificatePem: certPem,
        privateKeyPem: keyPem,
        ocsp: undefined,
        certificates: [],
        sessionTickets: undefined,
        caPem: authorities.map((each) => each.certPem).join(''),
        crlPem: crl,
        minVersion,
        ciphers,
      };
      const front = new TlsFront({ material, alpn: [], timeoutMs: 20_000, budget: new HandshakeBudget(1) });
      const real = await handshakeVerdict(t, front, presented, serving);
      assert.deepEqual(said(await certificateVerdict([leaf, ...rest], material)), real, `${name}, ${minVersion}`);
      assert.equal(real === 'trusted' ? '' : real[1].split(':')[0], expected, name);
      if (says !== undefined) assert.match(real[1] ?? '', says, name);
    }
  }
});

test('a chain that no handshake would read is refused as one', async () => {
  const { certPem, keyPem } = await (await createTestCa()).issueServer();
  const leaf = new X509Certificate(certPem);
  const material: TlsMaterial = {
    certificatePem: certPem,
    privateKeyPem: keyPem,
    ocsp: undefined,
    certificates: [],
    sessionTickets: undefined,
    caPem: certPem,
    crlPem: undefined,
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256',
  };
  const verdict = await certificateVerdict([leaf, ...Array.from({ length: 500 }, () => leaf)], material);
  assert.deepEqual([verdict?.reason, verdict?.message], ['handshake_failed', 'excessive message size']);
});
