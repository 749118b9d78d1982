import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { DelayLine, DelayLines, type Waited } from '../../../src/dataplane/delay-line.ts';

const MOST_WAITING = 50;
const STAYING = new AbortController().signal;

/** One place opens every `everyMs`, the first at once. */
function pace(everyMs: number) {
  let opensMs = 0;
  return () => {
    const waitMs = opensMs - Date.now();
    if (waitMs > 0) return waitMs;
    opensMs = Date.now() + everyMs;
    return undefined;
  };
}

describe('a delay line', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 }));
  afterEach(() => mock.timers.reset());

  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  /** Lets time pass in steps, so that what follows from one timer happens before the next. */
  const pass = async (ms: number) => {
    await settle();
    for (let step = 0; step < ms; step++) {
      mock.timers.tick(1);
      await settle();
    }
  };
  const collect = (line: DelayLine, ask: () => number | undefined, maxDelayMs: number) => {
    const done: string[] = [];
    const join = (name: string, gone = STAYING) =>
      void line
        .wait(ask, { maxDelayMs, mostWaiting: MOST_WAITING }, gone, Date.now)
        .then((waited: Waited) => done.push(`${name} ${waited} at ${Date.now()}`));
    return { done, join };
  };

  it('admits in the order of arrival, each as soon as the limit allows', async () => {
    const { done, join } = collect(new DelayLine(), pace(100), 1000);
    for (const name of ['a', 'b', 'c']) join(name);
    await pass(50);
    join('d');
    await pass(400);
    assert.deepEqual(done, ['a admitted at 0', 'b admitted at 100', 'c admitted at 200', 'd admitted at 300']);
  });

  it('refuses at once who would be alone and wait too long', async () => {
    const { done, join } = collect(new DelayLine(), pace(100), 99);
    join('a');
    join('b');
    await pass(1);
    assert.deepEqual(done.sort(), ['a admitted at 0', 'b too_long at 0']);
  });

  it('refuses who has waited as long as it may, and holds nobody up by that', async () => {
    const { done, join } = collect(new DelayLine(), pace(100), 250);
    for (const name of ['a', 'b', 'c', 'd']) join(name);
    await pass(120);
    join('e');
    await pass(400);
    assert.deepEqual(done, ['a admitted at 0', 'b admitted at 100', 'c admitted at 200', 'd too_long at 200', 'e admitted at 300']);
  });

  it('lets the next go when one leaves, whether it was first or further behind', async () => {
    const { done, join } = collect(new DelayLine(), pace(100), 1000);
    const [first, behind] = [new AbortController(), new AbortController()];
    join('a');
    join('b', first.signal);
    join('c');
    join('d', behind.signal);
    join('e');
    await pass(10);
    first.abort();
    behind.abort();
    await pass(400);
    assert.deepEqual(done, ['a admitted at 0', 'b gone at 10', 'd gone at 10', 'c admitted at 100', 'e admitted at 200']);
  });

  it('counts a client that had left before as gone', async () => {
    const { done, join } = collect(new DelayLine(), pace(100), 1000);
    join('a');
    join('b', AbortSignal.abort());
    await pass(1);
    assert.deepEqual(done, ['a admitted at 0', 'b gone at 0']);
  });

  it('has a bound, and room again when it has moved on', async () => {
    const { done, join } = collect(new DelayLine(), pace(1), 5000);
    join('first');
    for (let waiting = 0; waiting < MOST_WAITING; waiting++) join('waiting');
    join('over');
    await pass(1);
    assert.deepEqual(done.slice(0, 2), ['first admitted at 0', 'over line_full at 0']);
    join('late');
    await pass(MOST_WAITING + 1);
    assert.equal(done.length, MOST_WAITING + 3);
    assert.equal(done.at(-1), `late admitted at ${MOST_WAITING + 1}`);
  });

  it('of a client is forgotten with the last who stood in it', async () => {
    const lines = new DelayLines();
    const ask = pace(100);
    const gone = new AbortController();
    const join = (clientId: string, signal = STAYING) =>
      lines.wait(clientId, ask, { maxDelayMs: 1000, mostWaiting: MOST_WAITING }, signal, Date.now);
    const waits = [join('a'), join('a'), join('a', gone.signal), join('b')];
    await settle();
    assert.deepEqual([lines.size, lines.waiting('a'), lines.waiting('b')], [2, 2, 1]);
    gone.abort();
    await pass(1);
    assert.deepEqual([lines.size, lines.waiting('a')], [2, 1]);
    await pass(400);
    assert.deepEqual(await Promise.all(waits), ['admitted', 'admitted', 'gone', 'admitted']);
    assert.deepEqual([lines.size, lines.waiting('a')], [0, 0]);
  });
});
