import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameText } from '../../../src/domain/name-text.ts';

for (const { what, name, text } of [
  { what: 'attributes stand in one line, in their order', name: 'C=DE\nO=Example\nCN=Root CA', text: 'C=DE, O=Example, CN=Root CA' },
  {
    what: 'what OpenSSL has escaped is not escaped again',
    name: 'O=Acme\\, \\"Inc.\\"\nCN=a\\0Ab\\\\',
    text: 'O=Acme\\, \\"Inc.\\", CN=a\\0Ab\\\\',
  },
  { what: 'letters of all languages are letters', name: 'CN=Wurzel Zürich 東京', text: 'CN=Wurzel Zürich 東京' },
  {
    what: 'what could steer a terminal is told by its bytes, as openssl -nameopt RFC2253 does',
    name: 'CN=a\u009b2Jb\u202ec\u2028d\u200be\u007f',
    text: 'CN=a\\C2\\9B2Jb\\E2\\80\\AEc\\E2\\80\\A8d\\E2\\80\\8Be\\7F',
  },
  { what: 'a name of nothing is empty', name: '', text: '' },
  { what: 'so is one that Node.js leaves out', name: undefined, text: '' },
]) {
  test(what, () => assert.equal(nameText(name), text));
}

for (const { most, text } of [
  { most: 9, text: 'CN=a\\,\\C3b\\"' },
  { most: 8, text: 'CN=a\\,\\C3b\\"' },
  { most: 7, text: 'CN=a\\,\\C3b…' },
  { most: 6, text: 'CN=a\\,\\C3…' },
  { most: 5, text: 'CN=a\\,…' },
  { most: 4, text: 'CN=a…' },
]) {
  test(`a name cut behind ${most} characters has whole ones`, () => assert.equal(nameText('CN=a\\,\\C3b\\"', most), text));
}
