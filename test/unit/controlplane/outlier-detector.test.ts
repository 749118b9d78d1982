import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Authority } from '../../../src/controlplane/authority.ts';
import { HealthJournal } from '../../../src/controlplane/health-journal.ts';
import { OutlierDetector } from '../../../src/controlplane/outlier-detector.ts';
import { Slots } from '../../../src/controlplane/slots.ts';
import { MemoryStore } from '../../../src/controlplane/store/memory.ts';
import { DEFAULT_OUTLIER_DETECTION } from '../../../src/domain/defaults.ts';
import type { Command } from '../../../src/domain/state.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';
import { sampleGroup } from '../../support/sample-state.ts';

const [A, B, C, D] = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80'] as const;

/** Four healthy servers, of which at most two are ejected at once; time passes by `pass` alone. */
async function scene(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 1000;
  const ledger = new SharedLedger(createSharedBuffers(1));
  const slots = new Slots(ledger);
  const authority = await Authority.open(new MemoryStore());
  authority.subscribe(({ next }) => void slots.follow(next));
  const change = async (command: Command) => void (await authority.execute(command, { actor: 'test' }));
  const group = sampleGroup('web', [A, B, C, D], { outlierDetection: DEFAULT_OUTLIER_DETECTION });
  await change({ kind: 'replaceAll', listeners: [], targetGroups: [group], clients: [], revocations: [] });
  const slotOf = (server: string) => slots.serverSlot('web', server) ?? assert.fail(`no slot for ${server}`);
  for (const server of [A, B, C, D]) ledger.setHealth(slotOf(server), 'healthy');
  const journal = new HealthJournal(0);
  const told: string[] = [];
  journal.subscribe(({ kind, server }) => told.push(`${nowMs / 1000} ${kind} ${server}`));
  const warned: string[] = [];
  const log = { info: () => undefined, warn: (fields: object, message: string) => warned.push(`${message} ${JSON.stringify(fields)}`) };
  const detector = new OutlierDetector({ authority, ledger, slots, journal, log, onChange: () => undefined, nowMs: () => nowMs });
  detector.start();
  t.after(() => detector.stop());
  const tell = (server: string, slot: number) => detector.failing({ group: 'web', server, slot, failures: 5, cause: 'refused' });
  return {
    detector,
    ledger,
    told,
    warned,
    change,
    slotOf,
    fail: (server: string) => {
      while (ledger.outliers.countFailure(slotOf(server)) < 5);
      tell(server, slotOf(server));
    },
    tell,
    pass: (ms: number) => {
      nowMs += ms;
      t.mock.timers.tick(ms);
    },
  };
}

describe('the outlier detector', () => {
  it('ejects for longer each time in a row, and then lets the server start slowly', async (t) => {
    const { ledger, told, fail, pass, slotOf } = await scene(t);
    fail(A);
    assert.equal(ledger.outliers.isEjected(slotOf(A)), true);
    pass(29_999);
    assert.deepEqual(told, [`1 ejected ${A}`]);
    pass(1);
    assert.equal(ledger.outliers.isEjected(slotOf(A)), false);
    assert.equal(ledger.facts.recoveredAtMs(slotOf(A)), 31_000, 'slow start begins');
    fail(A);
    pass(60_000);
    // Good for twice the base time: as new.
    pass(60_000);
    fail(A);
    pass(30_000);
    assert.deepEqual(told, [
      `1 ejected ${A}`,
      `31 returned ${A}`,
      `31 ejected ${A}`,
      `91 returned ${A}`,
      `151 ejected ${A}`,
      `181 returned ${A}`,
    ]);
  });

  it('lets be what would be one too many, says so once, and ejects it when there is room', async (t) => {
    const { told, warned, fail, pass } = await scene(t);
    for (const server of [A, B, C, C, C]) fail(server);
    assert.deepEqual(told, [`1 ejected ${A}`, `1 ejected ${B}`]);
    assert.deepEqual(warned.slice(2), [
      `upstream server fails and is not ejected {"group":"web","server":"${C}","failures":5,"why":"too many ejected"}`,
    ]);
    pass(30_000);
    fail(C);
    assert.equal(told.at(-1), `31 ejected ${C}`);
  });

  it('hears nothing of a server that was removed, nor of the one that has its name now', async (t) => {
    const { detector, told, change, fail, tell, slotOf, pass } = await scene(t);
    const before = slotOf(A);
    fail(A);
    await change({ kind: 'removeUpstreamServer', group: 'web', address: A });
    tell(A, before);
    const server = { address: A, weight: 1, maxConnections: undefined, backup: false, mode: 'ready' } as const;
    await change({ kind: 'addUpstreamServer', group: 'web', server });
    tell(A, before);
    pass(1_000_000);
    assert.deepEqual(told, [`1 ejected ${A}`]);
    assert.deepEqual(detector.statusOf('web', A), { ejectedUntilMs: undefined, ejections: 0, cause: '', failuresInARow: 0 });
  });
});
