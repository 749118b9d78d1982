import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { DEFAULT_CIPHERS } from '../../../src/config/ciphers.ts';
import { loadTlsMaterial, TlsFileError } from '../../../src/config/tls-files.ts';
import { certificateVerdict } from '../../../src/dataplane/certificate-verdict.ts';
import type { TlsMaterial, TlsParams } from '../../../src/domain/tls-material.ts';
import {
  certificate,
  ExtendedKeyUsage,
  Extension,
  type Issued,
  KeyUsageFlags,
  Name,
  revocationList,
  root,
  type WantedList,
} from '../../support/certificate-chains.ts';
import { createTestCa } from '../../support/certificates.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

/** What OpenSSL says of a client that is not revoked, and of one that is. */
type Verdicts = readonly [good: string, revoked: string];

interface Case {
  readonly lists: readonly string[];
  readonly ca: readonly Issued[];
  readonly clients: readonly [good: Issued, revoked: Issued];
  readonly openssl: Verdicts;
  /** Undefined: the lists are taken. */
  readonly refused?: RegExp;
  /** Of lists that are taken. */
  readonly warned?: readonly RegExp[];
}

const NOBODY: Verdicts = ['UNABLE_TO_GET_CRL', 'UNABLE_TO_GET_CRL'];
const WELL: Verdicts = ['', 'CERT_REVOKED'];
/** What is revoked is let in. */
const IGNORED: Verdicts = ['', ''];

const client = (name: string, issuer: Issued) => certificate({ name, issuer, ca: false, purposes: [ExtendedKeyUsage.clientAuth] });
const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
/** IssuingDistributionPoint, DER of what its sequence holds. */
const distribution = (hex: string) => [new Extension('2.5.29.28', true, Buffer.concat([Buffer.of(0x30, bytes(hex).length), bytes(hex)]))];
/** A name in UTF8String; certificates here have it in PrintableString. */
const named = (text: string) => new Name([{ CN: [{ utf8String: text }] }]);
const tagged = (tag: number, content: Uint8Array) => Buffer.concat([Buffer.of(tag, content.length), content]);
/** AuthorityKeyIdentifier by the CA's own issuer and its serial number. */
const issuedBy = (issuer: Name, { certificate: { serialNumber } }: Issued) => {
  const names = tagged(0xa1, tagged(0xa4, Buffer.from(issuer.toArrayBuffer())));
  // A first byte from 80 on would make it a negative number.
  const serial = tagged(0x82, bytes(serialNumber >= '8' ? `00${serialNumber}` : serialNumber));
  return new Extension('2.5.29.35', false, tagged(0x30, Buffer.concat([names, serial])));
};
const DELTA = [new Extension('2.5.29.20', false, bytes('020102')), new Extension('2.5.29.27', true, bytes('020101'))];
const ONLY_USERS = distribution('8101ff');
const ONLY_AUTHORITIES = distribution('8201ff');
const POINT = distribution('a007 a005 8603 613a62');
const UNKNOWN = [new Extension('1.2.840.99999.5', true, bytes('0500'))];

async function cases(): Promise<Readonly<Record<string, Case>>> {
  const signs = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const [a, other, b] = [await root('A'), await root('A'), await root('B')];
  const [good, bad] = [await client('good', a), await client('bad', a)];
  const mute = await certificate({ name: 'mute', ca: true, keyUsage: KeyUsageFlags.keyCertSign });
  const any = await certificate({ name: 'any', ca: true });
  const middle = await certificate({ name: 'middle', issuer: a, ca: true, keyUsage: signs });
  const [ofOther, ofMiddle, badOfMiddle] = [await client('o', other), await client('m', middle), await client('n', middle)];
  const [ofMute, ofAny, badOfAny] = [await client('x', mute), await client('y', any), await client('z', any)];
  const acme = await root('Wurzel Zürich', 'O=Acme\\, \\"Inc.\\"');
  const badOfAcme = await client('bad', acme);
  const whole = (wanted: WantedList = {}) => revocationList(a, a, [bad], wanted);
  const empty = (wanted: WantedList = {}) => revocationList(a, a, [], wanted);
  const older: WantedList = { days: [-1, 1] };
  const ended: WantedList = { days: [-2, -1] };
  const plain = { ca: [a], clients: [good, bad] } as const;
  return {
    'a whole list': { ...plain, lists: [await whole()], openssl: WELL },
    'a whole list that names its key': { ...plain, lists: [await whole({ key: a })], openssl: WELL },
    'a list that begins tomorrow': {
      ...plain,
      lists: [await whole({ days: [1, 2] })],
      openssl: ['CRL_NOT_YET_VALID', 'CRL_NOT_YET_VALID'],
      refused:
        /^the list of "CN=A" begins at \d{4}-\S+Z: until then every client of that CA would be refused; wait, or look at the clocks of/,
    },
    'a list that begins tomorrow, after one that counts today': {
      ...plain,
      lists: [await whole(), await empty({ days: [1, 3] })],
      openssl: WELL,
      warned: [/the list of "CN=A" in line \d+ begins at .*; until then another one of its CA counts$/],
    },
    'a list that has ended': {
      ...plain,
      lists: [await whole(ended)],
      openssl: ['CRL_HAS_EXPIRED', 'CRL_HAS_EXPIRED'],
      refused: /^the list of "CN=A" ended at \d{4}-\S+Z: with it every client of that CA would be refused; have the CA write a new one$/,
    },
    'a list of a CA whose name has special characters': {
      ...{ ca: [acme], clients: [await client('of Acme', acme), badOfAcme] },
      lists: [await revocationList(acme, acme, [badOfAcme], ended)],
      openssl: ['CRL_HAS_EXPIRED', 'CRL_HAS_EXPIRED'],
      refused: /^the list of "O=Acme\\, \\"Inc\.\\", CN=Wurzel Zürich" ended at /,
    },
    'a list that has ended, before its successor': { ...plain, lists: [await empty(ended), await whole()], openssl: WELL },
    'a list that has ended, after an older one that has not': {
      ...plain,
      lists: [await whole({ days: [-3, 2] }), await empty(ended)],
      openssl: WELL,
    },
    'a list that has ended, and one of another part': {
      ...plain,
      lists: [await whole({ ...ended, extensions: ONLY_USERS }), await empty({ extensions: ONLY_AUTHORITIES })],
      openssl: ['CRL_HAS_EXPIRED', 'CERT_REVOKED'],
      refused: /^the list of "CN=A" in line \d+ ended at /,
    },
    'a list that has ended, beside one of another CA': {
      ca: [a, b],
      clients: [await client('of B', b), bad],
      lists: [await whole(ended), await revocationList(b, b, [])],
      openssl: ['', 'CRL_HAS_EXPIRED'],
      refused: /^the list of "CN=A" in line \d+ ended at /,
    },
    'a delta list alone': {
      ...plain,
      lists: [await whole({ extensions: DELTA })],
      openssl: NOBODY,
      refused: /^the list of "CN=A" is a delta list \(2\.5\.29\.27\), which OpenSSL does not apply here; give the CA's whole list$/,
    },
    'a delta list after its base': {
      ...plain,
      lists: [await empty(older), await whole({ extensions: DELTA })],
      openssl: IGNORED,
      refused: /^the list of "CN=A" in line \d+ is a delta list/,
    },
    'a list that another key has signed': {
      ...plain,
      lists: [await revocationList(a, other, [bad])],
      openssl: ['CRL_SIGNATURE_FAILURE', 'CRL_SIGNATURE_FAILURE'],
      refused:
        /^the list of "CN=A" is not signed by "CN=A" of \S+ca\.pem, but with another key: with it every client of that CA would be refused; give/,
    },
    'a list that another key has signed, and says so': {
      ...plain,
      lists: [await revocationList(a, other, [bad], { key: other })],
      openssl: NOBODY,
      refused: /is not signed by "CN=A"/,
    },
    'a list that another key has signed, after one that is good': {
      ...plain,
      lists: [await whole(older), await revocationList(a, other, [])],
      openssl: ['CRL_SIGNATURE_FAILURE', 'CRL_SIGNATURE_FAILURE'],
      refused: /^the list of "CN=A" in line \d+ is not signed by "CN=A"/,
    },
    'a list that names another key than the one that has signed it': {
      ...plain,
      lists: [await whole({ key: other })],
      openssl: NOBODY,
      refused:
        /^the list of "CN=A" names another certificate of its CA than \S+ca\.pem has \(authorityKeyIdentifier\), so that OpenSSL ignores/,
    },
    'a CA that may not sign lists': {
      ca: [mute],
      clients: [ofMute, ofMute],
      lists: [await revocationList(mute, mute, [])],
      openssl: ['UNSPECIFIED', 'UNSPECIFIED'],
      refused: /^the list of "CN=mute" is of a CA whose certificate in \S+ does not let it sign lists \(keyUsage without cRLSign\)/,
    },
    'a CA that may do anything': {
      ca: [any],
      clients: [ofAny, badOfAny],
      lists: [await revocationList(any, any, [badOfAny])],
      openssl: WELL,
    },
    'a list of a CA that is not there': {
      ...plain,
      lists: [await revocationList(b, b, [])],
      openssl: NOBODY,
      refused: /^the list of "CN=B" is of no CA in \S+ca\.pem; name the list of a CA that is$/,
    },
    'a list whose CA has its name in another string type': { ...plain, lists: [await whole({ name: named('A') })], openssl: WELL },
    'a list whose CA has its name in other letters and blanks': {
      ...plain,
      lists: [await whole({ name: named('  a ') })],
      openssl: WELL,
    },
    'a list whose CA has its name in other letters than those of ASCII': {
      ...{ ca: [acme], clients: [await client('of Acme', acme), badOfAcme] },
      lists: [await revocationList(acme, acme, [badOfAcme], { name: new Name('O=Acme\\, \\"Inc.\\", CN=Wurzel ZÜrich') })],
      openssl: NOBODY,
      refused: /^the list of "O=Acme\\, \\"Inc\.\\", CN=Wurzel ZÜrich" is of no CA in /,
    },
    'a list of the CA whose issuer and number it names, the name in another string type': {
      ...plain,
      lists: [await whole({ extensions: [issuedBy(named('A'), a)] })],
      openssl: WELL,
    },
    'a list of the CA whose number it names, but with another issuer': {
      ...plain,
      lists: [await whole({ extensions: [issuedBy(named('B'), a)] })],
      openssl: NOBODY,
      refused: /names another certificate of its CA/,
    },
    'two CAs of one name, a list of the first': {
      ca: [a, other],
      clients: [ofOther, bad],
      lists: [await whole()],
      openssl: ['CRL_SIGNATURE_FAILURE', 'CERT_REVOKED'],
      warned: [/: there is no list of "CN=A" \(serial number [\dA-F]+\), so its clients are all refused$/],
    },
    'two CAs of one name, lists that name their keys': {
      ca: [a, other],
      clients: [ofOther, bad],
      lists: [await whole({ ...older, key: a }), await revocationList(other, other, [], { key: other })],
      openssl: WELL,
    },
    'two CAs of one name, lists that do not': {
      ca: [a, other],
      clients: [ofOther, good],
      lists: [await whole(older), await revocationList(other, other, [])],
      openssl: ['', 'CRL_SIGNATURE_FAILURE'],
      warned: [
        /: for "CN=A" \(serial number [\dA-F]+\) OpenSSL takes the list of "CN=A" in line \d+, which is newer and signed with another/,
      ],
    },
    'an indirect list': {
      ...plain,
      lists: [await whole({ extensions: distribution('8401ff') })],
      openssl: NOBODY,
      refused: /is an indirect list/,
    },
    'an indirect list beside a whole one': {
      ...plain,
      lists: [await empty(older), await whole({ extensions: distribution('8401ff') })],
      openssl: IGNORED,
      refused:
        /in line \d+ is an indirect list, of other CAs besides its own, which OpenSSL does not apply here; give a list of each CA's own$/,
    },
    'an entry of another issuer': {
      ...plain,
      lists: [await whole({ ofEntries: [new Extension('2.5.29.29', true, bytes('3004 8602 613a'))] })],
      openssl: IGNORED,
      refused: /is an indirect list/,
    },
    'a list for some reasons': {
      ...plain,
      lists: [await empty(), await whole({ extensions: distribution('83020640') })],
      openssl: IGNORED,
      refused: /is for some reasons alone \(onlySomeReasons\), which OpenSSL does not apply here; give the CA's list for all reasons$/,
    },
    'a list of attribute certificates': {
      ...plain,
      lists: [await whole({ extensions: distribution('8501ff') })],
      openssl: NOBODY,
      refused: /is of attribute certificates, which OpenSSL does not apply here; give the CA's list of clients' certificates$/,
    },
    'a distribution point that contradicts itself': {
      ...plain,
      lists: [await whole({ extensions: distribution('8101ff 8201ff') })],
      openssl: NOBODY,
      refused: /has an issuingDistributionPoint \(2\.5\.29\.28\) that leaves nothing/,
    },
    'a distribution point that says nothing': {
      ...plain,
      lists: [await whole({ extensions: distribution('') })],
      openssl: NOBODY,
      refused: /that leaves nothing, which OpenSSL does not apply here; have the CA write one without it$/,
    },
    'a root list of user certificates alone': {
      ...plain,
      lists: [await whole({ extensions: ONLY_USERS })],
      openssl: NOBODY,
      refused:
        /^the list of "CN=A" leaves out the certificate of its own CA, for which OpenSSL wants a list too: with it every client of that CA would be/,
    },
    'a root list of one distribution point alone': {
      ...plain,
      lists: [await whole({ extensions: POINT })],
      openssl: NOBODY,
      refused: /leaves out the certificate of its own CA/,
    },
    'a list of CA certificates alone': {
      ...plain,
      lists: [await whole({ extensions: ONLY_AUTHORITIES })],
      openssl: NOBODY,
      refused:
        /^the list of "CN=A" is of CA certificates alone: with it every client of that CA would be refused; give the CA's whole list/,
    },
    'both halves of a list': {
      ...plain,
      lists: [await empty({ extensions: ONLY_AUTHORITIES }), await whole({ extensions: ONLY_USERS })],
      openssl: WELL,
    },
    'lists of a root for CAs and of its intermediate for users': {
      ca: [a, middle],
      clients: [ofMiddle, badOfMiddle],
      lists: [
        await empty({ extensions: ONLY_AUTHORITIES }),
        await revocationList(middle, middle, [badOfMiddle], { extensions: ONLY_USERS }),
      ],
      openssl: WELL,
    },
    'a critical extension that OpenSSL does not know': {
      ...plain,
      lists: [await whole({ extensions: UNKNOWN })],
      openssl: ['UNSPECIFIED', 'UNSPECIFIED'],
      refused:
        /has a critical extension that OpenSSL does not know \(1\.2\.840\.99999\.5\): with it every client of that CA would be refused; have the CA/,
    },
    'a critical extension of an entry that OpenSSL does not know': {
      ...plain,
      lists: [await whole({ ofEntries: [new Extension('2.5.29.21', true, bytes('0a0101'))] })],
      openssl: ['UNSPECIFIED', 'UNSPECIFIED'],
      refused: /has a critical extension that OpenSSL does not know \(2\.5\.29\.21\)/,
    },
    'an entry with its reason': {
      ...plain,
      lists: [await whole({ ofEntries: [new Extension('2.5.29.21', false, bytes('0a0101'))] })],
      openssl: WELL,
    },
  };
}

/** What the handshake of a listener with these files would say. */
async function verdictOf(shown: Issued, material: TlsMaterial): Promise<string> {
  const refusal = await certificateVerdict([new X509Certificate(shown.certPem)], material);
  return refusal?.message.split(':')[0] ?? '';
}

function load(params: TlsParams): { readonly refused: string } | { readonly warnings: readonly string[] } {
  try {
    return { warnings: loadTlsMaterial(params, { allowInsecureKeyPermissions: false }).warnings.filter((line) => /^crl /.test(line)) };
  } catch (error) {
    assert.ok(error instanceof TlsFileError, String(error));
    assert.deepEqual([error.key, error.file], ['crl', params.crl]);
    return { refused: error.reason };
  }
}

test('lists with which OpenSSL refuses everybody, or which it ignores, are refused with what to do', async (t) => {
  const folder = await temporaryFolder(t);
  const serving = await createTestCa();
  const { loadbalancer } = await serving.writeTo(folder, { loadbalancer: await serving.issueServer() });
  const [caCert, crl] = [path.join(folder, 'ca.pem'), path.join(folder, 'ca.crl')];
  const params: TlsParams = {
    ...{ ...loadbalancer, caCert, crl, ocspResponse: undefined, certificates: [], sessionTickets: false },
    ...{ minVersion: 'TLSv1.2', ciphers: DEFAULT_CIPHERS },
  };
  for (const [name, { ca, clients, lists, openssl, refused, warned = [] }] of Object.entries(await cases())) {
    writeFileSync(caCert, ca.map(({ certPem }) => certPem).join(''));
    writeFileSync(crl, lists.join(''));
    const { material } = loadTlsMaterial({ ...params, crl: undefined }, { allowInsecureKeyPermissions: false });
    const verdicts = await Promise.all(clients.map((each) => verdictOf(each, { ...material, crlPem: lists.join('') })));
    assert.deepEqual(verdicts, openssl, name);
    const loaded = load(params);
    if (refused !== undefined) assert.match('refused' in loaded ? loaded.refused : 'taken', refused, name);
    else if ('refused' in loaded) assert.fail(`${name}: ${loaded.refused}`);
    else {
      const warnings = loaded.warnings.filter((line) => !/ ends at /.test(line));
      assert.equal(warnings.length, warned.length, `${name}: ${warnings.join('; ')}`);
      for (const [index, pattern] of warned.entries()) assert.match(warnings[index] ?? '', pattern, name);
    }
  }
});
