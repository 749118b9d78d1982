import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameName, readName } from '../../../src/config/distinguished-name.ts';

const STRING = { utf8: 12, printable: 19, teletex: 20, ia5: 22, universal: 28, bmp: 30 } as const;
const OID = { commonName: '0603550403', organization: '060355040a' } as const;

/** DER of these parts, which are short. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  assert.ok(content.length < 0x80);
  return Buffer.concat([Buffer.of(tag, content.length), content]);
}

const attribute = (oid: keyof typeof OID, type: keyof typeof STRING, text: string | Buffer) =>
  der(0x30, Buffer.from(OID[oid], 'hex'), der(STRING[type], Buffer.from(text)));
const nameOf = (...sets: readonly (readonly Buffer[])[]) => readName(der(0x30, ...sets.map((set) => der(0x31, ...set))));
const common = (type: keyof typeof STRING, text: string | Buffer) => nameOf([attribute('commonName', type, text)]);

const name = common('utf8', 'Root CA');
const [cn, o] = [attribute('commonName', 'utf8', 'a'), attribute('organization', 'utf8', 'b')];

for (const { what, other } of [
  { what: 'itself', other: common('utf8', 'Root CA') },
  { what: 'one in another string type', other: common('printable', 'Root CA') },
  { what: 'one in two bytes a character', other: common('bmp', Buffer.from('Root CA', 'utf16le').swap16()) },
  { what: 'one in letters of the other case', other: common('ia5', 'rOOT ca') },
  { what: 'one with more white space', other: common('teletex', ' Root \t CA  ') },
]) {
  test(`a name is the same as ${what}`, () => assert.ok(isSameName(name, other) && isSameName(other, name)));
}

for (const { what, other } of [
  { what: 'one without the blank', other: common('utf8', 'RootCA') },
  { what: 'one that goes on', other: nameOf([attribute('commonName', 'utf8', 'Root CA')], [o]) },
  { what: 'one of another attribute', other: nameOf([attribute('organization', 'utf8', 'Root CA')]) },
  { what: 'no name', other: nameOf() },
]) {
  test(`a name is not the same as ${what}`, () => assert.ok(!isSameName(name, other) && !isSameName(other, name)));
}

test('letters beyond ASCII have their case', () => {
  assert.ok(isSameName(common('utf8', 'Zürich'), common('teletex', Buffer.from('zürich', 'latin1'))));
  assert.ok(!isSameName(common('utf8', 'Zürich'), common('utf8', 'ZÜRICH')));
});

test('attributes of one set, of two, and of two in another order are three names', () => {
  const names = [nameOf([cn, o]), nameOf([cn], [o]), nameOf([o], [cn])] as const;
  for (const one of names) for (const other of names) assert.equal(isSameName(one, other), one === other);
});

test('a name of more bytes than fit the shortest length is read', () => {
  const long = [1, 2, 3].map((each) => [attribute('commonName', 'utf8', `${'x'.repeat(60)}${each}`)]);
  const sets = Buffer.concat(long.map((set) => der(0x31, ...set)));
  assert.ok(sets.length < 0x100);
  const text = readName(Buffer.concat([Buffer.of(0x30, 0x81, sets.length), sets])).holder.subject;
  assert.equal(text.split('\n').length, 3);
});

test('what OpenSSL does not read is no name', () => {
  assert.throws(() => common('utf8', Buffer.of(0xff, 0xfe)));
  assert.throws(() => readName(Buffer.of(0x05, 0x00)));
});
