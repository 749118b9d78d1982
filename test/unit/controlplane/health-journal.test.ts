import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type HealthEvent, HealthJournal } from '../../../src/controlplane/health-journal.ts';

const STARTED_MS = 1_700_000_000_000;
const event = (server: string): Omit<HealthEvent, 'revision'> => ({
  kind: 'changed',
  group: 'web',
  server,
  from: 'unknown',
  to: 'healthy',
  cause: 'connected',
  atMs: STARTED_MS,
});
const serversSince = (journal: HealthJournal, revision: number) => {
  const servers: string[] = [];
  for (let at = revision; ; at++) {
    const next = journal.after(at);
    if (next === undefined) return servers;
    if (typeof next === 'string') return next;
    servers.push(next.server);
  }
};

describe('the health journal', () => {
  it('gives the events after a revision, oldest first', () => {
    const journal = new HealthJournal(STARTED_MS);
    const atStart = journal.revision;
    const [first, second] = ['a:1', 'b:1'].map((server) => journal.append(event(server)).revision);
    assert.deepEqual([first, second], [atStart + 1, atStart + 2]);
    assert.equal(journal.revision, second);
    assert.deepEqual(serversSince(journal, atStart), ['a:1', 'b:1']);
    assert.deepEqual(serversSince(journal, atStart + 1), ['b:1']);
    assert.deepEqual(serversSince(journal, atStart + 2), []);
  });

  it('says compacted for a revision whose following events are no longer all kept', () => {
    const journal = new HealthJournal(STARTED_MS, 3);
    const atStart = journal.revision;
    for (const server of ['a:1', 'b:1', 'c:1', 'd:1', 'e:1']) journal.append(event(server));
    assert.equal(serversSince(journal, atStart), 'compacted');
    assert.equal(serversSince(journal, atStart + 1), 'compacted');
    assert.deepEqual(serversSince(journal, atStart + 2), ['c:1', 'd:1', 'e:1']);
    assert.deepEqual(serversSince(journal, atStart + 4), ['e:1']);
  });

  it('says compacted for a revision of an earlier or of another run', () => {
    const earlier = new HealthJournal(STARTED_MS);
    for (let count = 0; count < 500; count++) earlier.append(event('a:1'));
    const journal = new HealthJournal(STARTED_MS + 1);
    journal.append(event('a:1'));
    assert.equal(serversSince(journal, earlier.revision), 'compacted');
    assert.equal(serversSince(journal, 0), 'compacted');
    assert.equal(serversSince(journal, journal.revision + 1), 'future');
  });

  it('gives the newest events, newest first, and no more than there are', () => {
    const journal = new HealthJournal(STARTED_MS, 3);
    assert.deepEqual(journal.newest(2), []);
    for (const server of ['a:1', 'b:1', 'c:1', 'd:1']) journal.append(event(server));
    const newest = (count: number) => journal.newest(count).map(({ server }) => server);
    assert.deepEqual([newest(2), newest(9), newest(0)], [['d:1', 'c:1'], ['d:1', 'c:1', 'b:1'], []]);
  });

  it('tells each subscriber of each event until it leaves', () => {
    const journal = new HealthJournal(STARTED_MS);
    const told: string[] = [];
    const leave = journal.subscribe(({ server }) => told.push(`first ${server}`));
    journal.subscribe(({ server }) => told.push(`second ${server}`));
    journal.append(event('a:1'));
    leave();
    journal.append(event('b:1'));
    assert.deepEqual(told, ['first a:1', 'second a:1', 'second b:1']);
  });
});
