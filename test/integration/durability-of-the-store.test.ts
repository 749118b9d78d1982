import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { SqliteStore } from '../../src/controlplane/store/sqlite.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../src/domain/model.ts';
import { stateAfter } from '../support/change-stream.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const ROUNDS = 200;
/** Rounds of so many state files take turns: while one starts, the other writes. */
const FILES = 2;
const WRITER = path.join(import.meta.dirname, '../support/change-stream-writer.ts');
/** From a kill before anything is written to one after so many changes: counted, since a slow machine makes few of them in a time. */
const MOST_CHANGES = 8;
/** So long after that: in the middle of the next one, or of one of those after it. */
const LONGEST_DELAY_MS = 4;

test('200 kills at random moments lose no acknowledged change and leave a state that loads', { timeout: 240_000 }, async (t) => {
  const folder = await temporaryFolder(t);
  const files = Array.from({ length: FILES }, (_, index) => path.join(folder, `${index}.state.db`));
  const acknowledged = await Promise.all(files.map((file) => survive(file, ROUNDS / FILES)));
  assert.ok(Math.min(...acknowledged) > ROUNDS, `the writers came as far as revisions ${acknowledged.join(', ')}`);
});

/** Resolves with the last revision that was acknowledged. */
async function survive(file: string, rounds: number): Promise<number> {
  let known: Snapshot = EMPTY_SNAPSHOT;
  for (let round = 0; round < rounds; round++) {
    const acknowledged = Math.max(await writeUntilKilled(file), known.revision);
    const store = await SqliteStore.open(file);
    const { snapshot } = (await store.load()) ?? { snapshot: EMPTY_SNAPSHOT };
    assert.ok(
      snapshot.revision === acknowledged || snapshot.revision === acknowledged + 1,
      `round ${round}: revision ${acknowledged} was acknowledged, the file has ${snapshot.revision}`,
    );
    known = stateAfter(known, snapshot.revision);
    assert.deepEqual(snapshot, known, `round ${round}: the state is not that of revision ${snapshot.revision}`);
    if (snapshot.revision > 0) {
      assert.equal((await store.findRequest(`request-${snapshot.revision}`))?.revision, snapshot.revision);
      const [newest] = await store.auditEntries({ limit: 1 });
      assert.equal(newest?.revisionAfter, snapshot.revision, `round ${round}: the audit trail is not as far as the state`);
    }
    await store.close();
  }
  return known.revision;
}

/** Starts a writer, kills it at a random moment after it is ready, and gives the last revision that it acknowledged; 0 for none. */
async function writeUntilKilled(file: string): Promise<number> {
  // Most of a short life is reading the program: that is done once.
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(path.dirname(file), 'compiled') };
  const writer = spawn(process.execPath, [WRITER, file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<string | null>((resolve, reject) => writer.once('error', reject).once('close', (_, signal) => resolve(signal)));
  const changes = Math.floor(Math.random() * (MOST_CHANGES + 1));
  const delayMs = Math.random() * LONGEST_DELAY_MS;
  let last = 0;
  let lines = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    // The first says that it is ready.
    if (lines++ === changes) setTimeout(() => writer.kill('SIGKILL'), delayMs);
    last = Number(line);
  }
  assert.equal(await ended, 'SIGKILL');
  return last;
}
