import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EndReminders, endReminder, firstEnds, type TlsEnd, type TlsEndKind } from '../../../src/domain/tls-ends.ts';

const DAY = 86_400_000;

/** At how many days before the end the reminder comes, looked for every hour from twelve days before until two after. */
function remindedAt(kind: TlsEndKind): readonly number[] {
  const [reminders, days] = [new EndReminders(), [] as number[]];
  const end = { usedBy: 'main', kind, file: 'a.pem', endsAtMs: 100 * DAY };
  for (let hours = -12 * 24; hours <= 48; hours++) {
    const nowMs = end.endsAtMs + (hours * DAY) / 24;
    if (reminders.due([end], nowMs).length > 0) days.push(-hours / 24 + 0);
  }
  return days;
}

test('certificates are told of from seven days before their end, what is made for a week from a day before, each day', () => {
  assert.deepEqual(remindedAt('certificate'), [7, 6, 5, 4, 3, 2, 1, 0, -1, -2]);
  assert.deepEqual(remindedAt('upstream_certificate'), [7, 6, 5, 4, 3, 2, 1, 0, -1, -2]);
  assert.deepEqual(remindedAt('ocsp_response'), [1, 0, -1, -2]);
});

test('the end itself is told when it comes, whenever the last reminder was', () => {
  const reminders = new EndReminders();
  const end: TlsEnd = { usedBy: 'main', kind: 'crl', file: 'a.crl', authority: '"CN=a"', endsAtMs: 10 * DAY };
  const hours = [-30, -23, -1, 0.5, 1, 24.4, 24.6].map((hour) => end.endsAtMs + (hour * DAY) / 24);
  const told = hours.filter((nowMs) => reminders.due([end], nowMs).length > 0).map((nowMs) => ((nowMs - end.endsAtMs) / DAY) * 24);
  assert.deepEqual(told.map(Math.round), [-23, 1, 25]);
  assert.match(
    endReminder(end, 9 * DAY),
    /^the last revocation list of "CN=a" ends at 1970-01-11T00:00:00.000Z: every client of that CA is refused from then on/,
  );
  assert.match(endReminder(end, 11 * DAY), /^the last revocation list of "CN=a" ended at/);
  const ofServers: TlsEnd = { usedBy: 'web', kind: 'upstream_ca', file: 'a.pem', endsAtMs: 10 * DAY };
  assert.match(endReminder(ofServers, 9 * DAY), /^a CA certificate of upstream servers ends at .*: every server of that CA is refused/);
});

test('each CA whose lists end is told of, whatever file they share; metrics have the first end of the file', () => {
  const reminders = new EndReminders();
  const end = (authority: string, endsAtMs: number): TlsEnd => ({ usedBy: 'main', kind: 'crl', file: 'a.crl', authority, endsAtMs });
  const [a, b] = [end('"CN=a"', 10 * DAY), end('"CN=b"', 11.5 * DAY)];
  assert.deepEqual(reminders.due([b, a], 0), []);
  assert.deepEqual(reminders.due([b, a], 10 * DAY), [a]);
  assert.deepEqual(reminders.due([b, a], 10.6 * DAY), [b]);
  assert.deepEqual(firstEnds([b, a, { ...b, usedBy: 'admin' }]), [a, { ...b, usedBy: 'admin' }]);
});

test('what is near its end when its file is read was told by then; another end under the same name begins anew', () => {
  const reminders = new EndReminders();
  const end = (usedBy: string, endsAtMs: number): TlsEnd => ({ usedBy, kind: 'certificate', file: 'a.pem', endsAtMs });
  assert.deepEqual(reminders.due([end('main', 3 * DAY), end('admin', 30 * DAY)], 0), []);
  assert.deepEqual(reminders.due([end('main', 3 * DAY), end('admin', 30 * DAY)], DAY), [end('main', 3 * DAY)]);
  assert.deepEqual(reminders.due([end('main', 5 * DAY), end('admin', 30 * DAY)], 2 * DAY), [], 'a reload has told it');
  assert.deepEqual(reminders.due([end('admin', 30 * DAY)], 3 * DAY), []);
  const crossing = end('crossing', 10.5 * DAY);
  assert.deepEqual(reminders.due([crossing, end('admin', 30 * DAY)], 4 * DAY), [crossing], 'it may have been read before it was near');
  assert.deepEqual(reminders.due([end('main', 5 * DAY), end('admin', 30 * DAY)], 23.5 * DAY), [end('admin', 30 * DAY)]);
});
