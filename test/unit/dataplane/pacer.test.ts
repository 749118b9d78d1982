import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { type Bound, type Held, Pacer, PIECE_BYTES } from '../../../src/dataplane/pacer.ts';
import { CREDIT_MS } from '../../../src/domain/ratelimit/byte-line.ts';
import { ByteLines } from '../../../src/shared/memory/byte-lines.ts';
import { LaneWriter } from '../../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { SharedLedger } from '../../../src/shared/memory/ledger.ts';

const SLOT = 7;
const OTHER_SLOT = 8;
const CHUNK = 1000;

describe('pacers of two workers', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1000 }));
  afterEach(() => mock.timers.reset());

  function setUp(bytesPerSecond: number) {
    const buffers = createSharedBuffers(2);
    const ledger = new SharedLedger(buffers);
    const workers = [0, 1].map((lane) => new Pacer(new ByteLines(buffers.byteLines), new LaneWriter(buffers, lane), Date.now));
    const limit = { revision: 1, bytesPerSecond, shadow: false };
    const bound: Bound = () => ({ rule: { ...limit }, shadow: limit.shadow });
    /** A connection that has its next chunk as soon as the last has passed, 500 in all. */
    const connect = (worker: number, slot = SLOT, bytes = CHUNK) => {
      const connection = { passed: 0, held: undefined as Held | undefined };
      const next = () => {
        connection.held = workers[worker]?.pace(slot, 'upload', bound, bytes, () => {
          connection.passed += bytes;
          if (connection.passed < 500 * bytes) queueMicrotask(next);
        });
      };
      next();
      return connection;
    };
    const headroom = () => workers[0]?.headroom(SLOT, 'upload', limit);
    return { buffers, ledger, workers, limit, bound, connect, headroom };
  }
  const pass = async (ms: number, look: () => void = () => undefined) => {
    for (let step = 0; step < ms; step++) {
      await new Promise((resolve) => setImmediate(resolve));
      mock.timers.tick(1);
      look();
    }
  };

  it('give a client its rate and no more, and each of its connections the same part of it, whichever worker has them', async () => {
    const { connect } = setUp(50_000);
    const connections = [connect(0), connect(0), connect(0), connect(1), connect(1)];
    const total = () => connections.reduce((sum, { passed }) => sum + passed, 0);
    await pass(2000, () => assert.ok(total() <= (50_000 * (Date.now() - 1000 + CREDIT_MS)) / 1000 + CHUNK));
    assert.ok(total() >= 50_000 * 2 - CHUNK, `${total()}`);
    const parts = connections.map(({ passed }) => passed);
    // A turn apart, and the credit that who came first found.
    assert.ok(Math.max(...parts) - Math.min(...parts) <= 6 * CHUNK, parts.join(' '));
  });

  it('keep clients apart', async () => {
    const { connect } = setUp(50_000);
    const [one, other] = [connect(0), connect(0, OTHER_SLOT)];
    await pass(500);
    for (const { passed } of [one, other]) assert.ok(passed >= 25_000);
  });

  it('go on at a new rate at once, and let everything pass when there is none', async () => {
    const { connect, workers, limit } = setUp(1);
    const connection = connect(1, SLOT, 1000);
    await pass(500);
    assert.equal(connection.passed, 1000);
    Object.assign(limit, { revision: 2, bytesPerSecond: 100_000 });
    for (const worker of workers) worker.replan();
    await pass(100);
    assert.ok(connection.passed >= 10_000, `${connection.passed}`);
    const before = connection.passed;
    limit.shadow = true;
    for (const worker of workers) worker.replan();
    assert.ok(connection.passed > before);
    connection.held?.drop();
  });

  it('pass a large chunk in pieces, and the rest of it when it is to pass now, or not at all', async () => {
    const { workers, bound, connect } = setUp(PIECE_BYTES * 10);
    const passed: number[] = [];
    const tell = (bytes: number) => void passed.push(bytes);
    const chunk = 4 * PIECE_BYTES + 1;
    assert.ok(workers[0]?.pace(SLOT, 'upload', bound, chunk, tell) !== undefined);
    // What the credit is worth, and the piece that begins right after it.
    assert.deepEqual(passed, [PIECE_BYTES, PIECE_BYTES]);
    const other = connect(1);
    await pass(100);
    assert.deepEqual(passed, [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES]);
    await pass(101);
    assert.ok(other.passed > 0, 'another connection takes turns with its pieces');
    other.held?.drop();
    await pass(300);
    assert.deepEqual(passed, [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 1]);

    passed.length = 0;
    const forced = workers[0]?.pace(SLOT, 'upload', bound, chunk, tell);
    const before = passed.length;
    forced?.passNow();
    assert.equal(passed.length, before + 2);
    assert.equal(
      passed.reduce((sum, bytes) => sum + bytes, 0),
      chunk,
    );
    const dropped = workers[0]?.pace(SLOT, 'upload', bound, chunk, assert.fail.bind(undefined, 'dropped'));
    dropped?.drop();
    dropped?.passNow();
    await pass(1000);
  });

  it('do not let the older of two rules undo the newer', async () => {
    const { workers, limit, bound, headroom } = setUp(1_000_000);
    const older: Bound = () => ({ rule: { revision: 0, bytesPerSecond: 1 }, shadow: false });
    workers[0]?.pace(SLOT, 'upload', bound, 200_000, () => undefined);
    const passed: string[] = [];
    workers[1]?.pace(SLOT, 'upload', older, 10, () => passed.push('by the older'));
    assert.deepEqual([passed, limit.revision], [[], 1]);
    await pass(101);
    assert.deepEqual(passed, ['by the older']);
    assert.ok(headroom() !== undefined);
  });

  it('give back the place of what will not pass, also of a worker that died', () => {
    const { workers, ledger, bound, headroom, buffers } = setUp(10_000);
    assert.equal(headroom(), 1000);
    workers[0]?.pace(SLOT, 'upload', bound, 500, () => undefined);
    assert.equal(headroom(), 500);
    workers[0]?.pace(SLOT, 'upload', bound, 600, () => undefined);
    const held = workers[0]?.pace(SLOT, 'upload', bound, 300, () => assert.fail());
    workers[1]?.pace(SLOT, 'upload', bound, 300, () => assert.fail());
    assert.deepEqual(ledger.client(SLOT).paced, { upload: 600, download: 0 });
    assert.equal(headroom(), 0);
    held?.drop();
    held?.drop();
    ledger.releaseLane(1);
    // 1,100 have passed of 1,000: those that left are not waited for.
    mock.timers.tick(20);
    assert.equal(headroom(), 100);
    assert.equal(buffers.lanes.length, 2);
  });
});
