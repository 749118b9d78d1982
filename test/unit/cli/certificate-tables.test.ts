import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateTables } from '../../../cli/commands/certificate-tables.ts';
import type { Paint } from '../../../cli/render.ts';
import type { RevocationList } from '../../../src/gen/lb/admin/v1/admin.ts';

const NOW_MS = Date.parse('2026-11-22T12:00:00Z');
const HOUR_MS = 3_600_000;

const plain: Paint = (text) => text;
const toned: Paint = (text, tone) => `<${tone}>${text}`;

function list(issuer: string, hours: number | undefined, changes: Partial<RevocationList> = {}): RevocationList {
  const nextUpdate = hours === undefined ? undefined : new Date(NOW_MS + hours * HOUR_MS);
  const thisUpdate = new Date(NOW_MS - HOUR_MS);
  return { usedBy: 'web', issuer, thisUpdate, nextUpdate, entries: 3n, file: '/revoked.crl', superseded: false, ...changes };
}

const tables = (revocationLists: readonly RevocationList[], paint: Paint = plain) =>
  certificateTables({ certificates: [], revocationLists: [...revocationLists], revoked: [] }, NOW_MS, paint);

test('revocation lists are shown with what they hold and when they end', () => {
  assert.match(tables([list('CN=a', 48)]), /^web +CN=a +2026-11-22T11:00Z +2026-11-24T12:00Z \(in 2d\) +3 +\/revoked\.crl\s*$/m);
  assert.match(tables([list('CN=a', undefined)]), /^web +CN=a +2026-11-22T11:00Z +never +3 /m);
  assert.doesNotMatch(tables([]), /REVOCATION LIST/);
});

test('a list that ends within a day, has ended, or does not count yet stands out', () => {
  const text = tables([list('CN=a', 25), list('CN=b', 23), list('CN=c', 0), list('CN=d', 48, { thisUpdate: new Date(NOW_MS + 1) })], toned);
  const of = (issuer: string) => text.split('\n').find((line) => line.includes(issuer)) ?? assert.fail(text);
  assert.match(of('CN=a'), /<good>2026-11-23T13:00Z \(in 1d1h\)/);
  assert.match(of('CN=b'), /<unsure>2026-11-23T11:00Z \(in 23h\)/);
  assert.match(of('CN=c'), /<bad>2026-11-22T12:00Z \(ended: everybody of that CA is refused\)/);
  assert.match(of('CN=d'), /<unsure>2026-11-22T12:00Z \(does not count yet\)/);
});

test('the end of a list whose successor is there is harmless', () => {
  const text = tables([list('CN=a', 23, { superseded: true }), list('CN=b', -1, { superseded: true })], toned);
  const of = (issuer: string) => text.split('\n').find((line) => line.includes(issuer)) ?? assert.fail(text);
  assert.match(of('CN=a'), /<good>2026-11-23T11:00Z \(in 23h\)/);
  assert.match(of('CN=b'), / 2026-11-22T11:00Z \(ended: superseded by another list of that CA\)/);
});
