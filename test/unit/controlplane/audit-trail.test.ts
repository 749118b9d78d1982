import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AuditTrail } from '../../../src/controlplane/audit-trail.ts';
import { type AuditRecord, StoreUnavailableError } from '../../../src/controlplane/store/store.ts';

const SAME = { atMs: 1, fingerprint: '', from: '', request: '', result: 'OK', message: '', revisionBefore: 0, revisionAfter: 0 };
const entry = (method: string): AuditRecord => ({ ...SAME, actor: 'ann', method });

function trail(retryMs?: number) {
  const kept: string[] = [];
  const lost: string[] = [];
  const waiting: number[] = [];
  const disk = { full: false, written: Promise.withResolvers<void>() };
  const archive = {
    recordAudit: async (records: readonly AuditRecord[]) => {
      if (disk.full) throw new StoreUnavailableError('disk full');
      kept.push(...records.map(({ method }) => method));
      disk.written.resolve();
    },
  };
  const troubles = {
    waiting: (_: unknown, count: number) => void waiting.push(count),
    lost: (entries: readonly AuditRecord[]) => void lost.push(...entries.map(({ method }) => method)),
  };
  return { trail: new AuditTrail(archive, troubles, retryMs), disk, kept, lost, waiting };
}

describe('what the store cannot take', () => {
  test('is written before what comes next, once it can', async () => {
    const { trail: audit, disk, kept, lost, waiting } = trail();
    disk.full = true;
    await Promise.all([audit.record(entry('a')), audit.record(entry('b'))]);
    await audit.record(entry('c'));
    assert.deepEqual([kept, waiting], [[], [2, 1]]);
    disk.full = false;
    await audit.record(entry('d'));
    assert.deepEqual([kept, lost], [['a', 'b', 'c', 'd'], []]);
    await audit.flush();
    assert.equal(kept.length, 4, 'once');
  });

  test('is the newest hundred, and who did the others is told', async () => {
    const { trail: audit, disk, kept, lost } = trail();
    disk.full = true;
    for (let index = 0; index < 102; index++) await audit.record(entry(String(index)));
    assert.deepEqual(lost, ['0', '1']);
    disk.full = false;
    await audit.flush();
    assert.deepEqual([kept.length, kept[0], kept.at(-1)], [100, '2', '101']);
  });

  test('is tried again without another call', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { trail: audit, disk, kept } = trail(5000);
    disk.full = true;
    await audit.record(entry('a'));
    disk.full = false;
    t.mock.timers.tick(5000);
    await disk.written.promise;
    assert.deepEqual(kept, ['a']);
  });
});
