import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, credentials, status as Status } from '@grpc/grpc-js';
import { Connection } from '../../../cli/connection.ts';
import { CliError, EXIT } from '../../../cli/errors.ts';
import { type ResumableStream, resuming } from '../../../cli/resuming.ts';
import type { Settings } from '../../../cli/settings.ts';

const settings: Settings = {
  addr: 'lb:9000',
  ca: undefined,
  cert: undefined,
  key: undefined,
  serverName: undefined,
  timeoutMs: 1_000,
  output: 'table',
};
/** Never used to call anything: each stream of a test is scripted. */
const connection = () => new Connection(new Client('127.0.0.1:1', credentials.createInsecure()), settings, 0);
const lost = new CliError(EXIT.unreachable, 'lost the connection to lb:9000');

type Script = readonly (number | Error)[];

/** Runs scripts one after the other, one for each connection, and what came of it. */
async function watch(scripts: readonly Script[], change: Partial<ResumableStream<number>> = {}) {
  const told: string[] = [];
  const pauses: number[] = [];
  const seen: number[] = [];
  let opened = 0;
  const stream: ResumableStream<number> = {
    connection: connection(),
    settings,
    signal: new AbortController().signal,
    reconnect: true,
    open: async function* () {
      for (const step of scripts[opened++] ?? []) {
        if (typeof step !== 'number') throw step;
        yield step;
      }
    },
    startOver: () => false,
    notify: (text) => told.push(text),
    pause: async (ms) => pauses.push(ms),
    reconnectWith: async () => connection(),
    ...change,
  };
  let failure: unknown;
  try {
    for await (const message of resuming(stream)) seen.push(message);
  } catch (error) {
    failure = error;
  }
  return { seen, told, pauses, failure };
}

test('a stream goes on over a new connection, and both ends of the gap are told', async () => {
  const { seen, told, failure } = await watch([[1, 2, lost], [3]]);
  assert.deepEqual(seen, [1, 2, 3]);
  assert.deepEqual(told, ['lost the connection to lb:9000; trying again', 'connected to lb:9000 again']);
  assert.equal(failure, undefined);
});

test('what the gap has swallowed is said once the connection is there again', async () => {
  const { told } = await watch([[1, lost], [lost], [2]], { missed: 'some are missed' });
  assert.deepEqual(told, ['lost the connection to lb:9000; trying again', 'connected to lb:9000 again; some are missed']);
});

test('it is patient, longer each time up to five seconds, and tells the loss once', async () => {
  const { pauses, told } = await watch([...Array.from({ length: 7 }, (): Script => [lost]), [1]]);
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  assert.equal(told.length, 2);
});

test('a server that shuts down, or drops a slow reader, is come back to', async () => {
  for (const status of [Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED]) {
    assert.deepEqual((await watch([[1, new CliError(EXIT.refused, 'bye', status)], [2]])).seen, [1, 2]);
  }
});

test('what the server no longer keeps is asked for anew, and said', async () => {
  const compacted = new CliError(EXIT.refused, 'too old', Status.OUT_OF_RANGE);
  const resumed = await watch([[1, lost], [compacted], [9]], { startOver: () => true });
  assert.deepEqual(resumed.seen, [1, 9]);
  const alone = await watch([[1, compacted], [9]], { startOver: () => true });
  assert.match(alone.told[0] ?? '', /changes may have been missed: the server no longer keeps/);
  const ahead = new CliError(EXIT.refused, 'not yet', Status.OUT_OF_RANGE, 'FUTURE_REVISION');
  const elsewhere = await watch([[1, ahead], [9]], { startOver: () => true });
  assert.deepEqual(elsewhere.seen, [1, 9]);
  assert.match(elsewhere.told[0] ?? '', /changes may have been missed: the server has not reached the revision seen last/);
  assert.equal((await watch([[compacted]])).failure, compacted);
});

test('a refusal, an unexpected error, and any end with --no-reconnect are the end', async () => {
  const refused = new CliError(EXIT.refused, 'no', Status.PERMISSION_DENIED);
  const bug = new Error('bug');
  assert.equal((await watch([[1, refused], [2]])).failure, refused);
  assert.equal((await watch([[1, bug], [2]])).failure, bug);
  assert.equal((await watch([[1, lost], [2]], { reconnect: false })).failure, lost);
});

test('Ctrl-C ends the wait for a server that does not come back', async () => {
  const interruption = new AbortController();
  const { seen, failure } = await watch([[1, lost]], {
    signal: interruption.signal,
    reconnectWith: () => {
      interruption.abort();
      return new Promise(() => {});
    },
  });
  assert.deepEqual(seen, [1]);
  assert.equal(failure, undefined);
});
