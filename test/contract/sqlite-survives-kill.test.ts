import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ROUNDS = 20;

it('keeps every acknowledged change when its process is killed in mid-stream', async (t) => {
  const file = path.join(await temporaryFolder(t), 'lbd.state.db');
  let newest = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const acknowledged = await writeUntilKilled(file, newest + 1 + ((round * 7) % 23));
    assert.ok(acknowledged > newest, 'the writer went on from where the last one was killed');
    const store = await SqliteStore.open(file);
    const snapshot = (await store.load())?.snapshot;
    newest = snapshot?.revision ?? 0;
    assert.ok(newest === acknowledged || newest === acknowledged + 1, `revision ${acknowledged} was acknowledged, the file has ${newest}`);
    assert.deepEqual(
      [...(snapshot?.targetGroups.keys() ?? [])],
      Array.from({ length: newest }, (_, index) => `group-${index + 1}`),
    );
    assert.equal((await store.findRequest(`request-${acknowledged}`))?.revision, acknowledged);
    await store.close();
  }
});

/** Starts a writer, kills it once it has acknowledged `revision`, and gives the last revision that it acknowledged. */
async function writeUntilKilled(file: string, revision: number): Promise<number> {
  const writer = spawn(process.execPath, [path.join(import.meta.dirname, 'sqlite-writer.ts'), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<string | null>((resolve, reject) => writer.once('error', reject).once('close', (_, signal) => resolve(signal)));
  let last = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    last = Number(line);
    if (last >= revision) writer.kill('SIGKILL');
  }
  assert.equal(await ended, 'SIGKILL');
  return last;
}
