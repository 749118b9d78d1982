import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { awaitSuccessor, RunningLbd, TakeoverError } from '../../src/takeover.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** An lbd that waits for a successor, and what it was asked to do. */
async function waiting(t: TestContext, withinMs?: number, handOver: () => Promise<void> = async () => undefined) {
  const at = path.join(await temporaryFolder(t), 'takeover.sock');
  const asked: string[] = [];
  const takenBack = Promise.withResolvers<void>();
  const predecessor = {
    objectionTo: (stateFile: string) => (stateFile === 'other' ? 'it is another file' : undefined),
    handOver: async () => {
      asked.push('hand over');
      await handOver();
    },
    takeBack: async () => {
      asked.push('take back');
      takenBack.resolve();
    },
    retire: () => void asked.push('retire'),
  };
  const errors: string[] = [];
  const log = { info: () => undefined, error: (_facts: object, message: string) => void errors.push(message) };
  const server = await awaitSuccessor(at, predecessor, log, withinMs);
  t.after(() => server.close());
  return { at, asked, errors, takenBack: takenBack.promise };
}

test('one takes over at a time; who comes meanwhile is told, and the first goes on', async (t) => {
  const { at, asked } = await waiting(t);
  const first = await RunningLbd.find(at, 'none');
  await assert.rejects(
    RunningLbd.find(at, 'none'),
    (error: unknown) => error instanceof TakeoverError && error.message.includes('another lbd is taking over'),
  );
  await first?.retire();
  assert.deepEqual(asked, ['hand over', 'retire']);
});

test('one with a state file that is objected to is refused with the reason, and the next may come', async (t) => {
  const { at, asked, errors } = await waiting(t);
  await assert.rejects(
    RunningLbd.find(at, 'other'),
    (error: unknown) => error instanceof TakeoverError && error.message === 'the running lbd does not hand over: it is another file',
  );
  assert.deepEqual([asked, errors], [[], ['not handed over to another lbd']]);
  await (await RunningLbd.find(at, 'same'))?.retire();
  assert.deepEqual(asked, ['hand over', 'retire']);
});

test('one that hangs is not waited for, and the next may come', async (t) => {
  const { at, asked, takenBack } = await waiting(t, 20);
  const hung = connect(at);
  t.after(() => hung.destroy());
  hung.write('take over\n');
  await Promise.all([takenBack, once(hung.resume(), 'close')]);
  assert.deepEqual(asked, ['hand over', 'take back']);
});

test('one that could not be handed over to is not missed at its deadline', async (t) => {
  const { at, errors } = await waiting(t, 60_000, () => Promise.reject(new Error('no')));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const refused = connect(at);
  t.after(() => refused.destroy());
  refused.write('take over\n');
  await once(refused.resume(), 'close');
  t.mock.timers.tick(60_000);
  assert.deepEqual(errors, ['the takeover failed: connections are served as before']);
});

test('a path at which nobody could wait is refused, with what to do', async (t) => {
  const folder = await temporaryFolder(t);
  const file = path.join(folder, 'file');
  writeFileSync(file, 'mine');
  const refusals: readonly (readonly [at: string, why: RegExp])[] = [
    [file, /^--takeover \S*file: there is something that is no socket: move it away/],
    [folder, /there is something that is no socket/],
    [path.join(folder, 'none', 'x.sock'), /: the folder \S*none does not exist: make it/],
    [path.join(file, 'x.sock'), /file is no folder: name a path in one/],
    [path.join(folder, 'x'.repeat(107)), /the path has \d+ bytes, and that of a socket at most 107: name a shorter one/],
  ];
  for (const [at, why] of refusals)
    await assert.rejects(RunningLbd.find(at, 'none'), (error: unknown) => error instanceof TakeoverError && why.test(error.message));
  assert.equal(await RunningLbd.find(path.join(folder, 'free'), 'none'), undefined);
});
