import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConnectionReader, ConnectionWatch, MAX_WAITING } from '../../../src/controlplane/connection-watch.ts';
import type { ConnectionListener } from '../../../src/controlplane/workers.ts';
import type { ConnectionEvent, ConnectionFacts, ConnectionPage, ConnectionQuery } from '../../../src/shared/messages.ts';

const connection = (number: number): ConnectionFacts => ({
  id: `0-${number}`,
  number,
  listener: 'main',
  remote: '127.0.0.1:1',
  via: '',
  clientId: 'clientA',
  identity: 'clientA',
  fingerprint: '',
  twins: [],
  group: 'web',
  server: '127.0.0.1:2',
  openedAtMs: 1,
  waiting: undefined,
  bytesFromClient: 0,
  bytesToClient: 0,
});
const opened = (number: number): ConnectionEvent => ({ kind: 'opened', atMs: 1, connection: connection(number) });
const closed = (number: number): ConnectionEvent => ({
  kind: 'closed',
  atMs: 1,
  connection: connection(number),
  reason: 'client_closed',
  detail: '',
});
const EVERYTHING = { selector: {}, reason: undefined };

/** One worker whose answers and events the test gives. */
class ScriptedWorker {
  readonly count = 1;
  listener: ConnectionListener | undefined;
  asked: { readonly query: ConnectionQuery; readonly answer: (page: ConnectionPage | undefined) => void }[] = [];

  watch(listener: ConnectionListener | undefined): void {
    this.listener = listener;
  }

  list(_lane: number, query: ConnectionQuery, answer: (page: ConnectionPage | undefined) => void): void {
    this.asked.push({ query, answer });
  }

  tell(...events: ConnectionEvent[]): void {
    this.listener?.happened(0, { events, lost: 0 });
  }

  answer(numbers: readonly number[], more: boolean, lastNumber: number): void {
    this.asked.shift()?.answer({ connections: numbers.map(connection), more, lastNumber });
  }
}

function start(): { readonly worker: ScriptedWorker; readonly reader: ConnectionReader } {
  const worker = new ScriptedWorker();
  return { worker, reader: new ConnectionWatch(worker).open(EVERYTHING) };
}

/** All that there is to take now: `opened 3`. */
function taken(reader: ConnectionReader): string[] {
  const items: string[] = [];
  for (let item = reader.next(); item !== undefined; item = reader.next()) {
    items.push(item.kind === 'synced' ? 'synced' : `${item.kind} ${item.connection.number}`);
  }
  return items;
}

test('state that comes page by page and events in between fit together without a gap or a double', () => {
  const { worker, reader } = start();
  assert.deepEqual(taken(reader), []);
  worker.tell(opened(5), closed(1));
  worker.answer([2, 3], true, 5);
  assert.deepEqual(taken(reader), ['state 2', 'state 3']);
  assert.deepEqual(worker.asked[0]?.query, { selector: {}, after: 3, upTo: 5, limit: 100 });
  // 4 ends before its page is made: it never was. 3 has been told, so its end is; 6 is new.
  worker.tell(closed(4), closed(3), opened(6));
  assert.deepEqual(taken(reader), []);
  worker.answer([5], false, 6);
  assert.deepEqual(taken(reader), ['state 5', 'synced', 'closed 3', 'opened 6']);
  worker.tell(closed(5), closed(6));
  assert.deepEqual(taken(reader), ['closed 5', 'closed 6']);
});

test('a reader that takes nothing is dropped when more wait than it may leave waiting, and holds nothing then', async () => {
  const { worker, reader } = start();
  taken(reader);
  worker.answer([], false, 0);
  worker.tell(...Array.from({ length: MAX_WAITING }, (_, index) => opened(index + 1)));
  assert.equal(await Promise.race([reader.failed, undefined]), undefined);
  worker.tell(opened(MAX_WAITING + 1));
  assert.equal(await reader.failed, 'slow_reader');
  assert.equal(reader.next(), undefined);
  assert.equal(worker.listener, undefined, 'nobody watches any more');
});

test('events that a worker had no room for, and a worker that dies, end every reader', async () => {
  const { worker, reader } = start();
  worker.listener?.happened(0, { events: [], lost: 1 });
  assert.equal(await reader.failed, 'slow_reader');
  const second = start();
  second.worker.listener?.workerDied(0);
  assert.equal(await second.reader.failed, 'worker_lost');
});

test('a worker that is being replaced has no state, and its successor is heard of', () => {
  const { worker, reader } = start();
  reader.next();
  worker.asked.shift()?.answer(undefined);
  assert.deepEqual(taken(reader), ['synced']);
  worker.tell(opened(9));
  assert.deepEqual(taken(reader), ['opened 9']);
});
