import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { DelayLine, DelayLines, type Waited } from '../../../src/dataplane/delay-line.ts';
import type { Departure } from '../../../src/domain/ratelimit/departure.ts';

const MOST_WAITING = 50;
const STAYING = new AbortController().signal;

/** One goes every `everyMs`, the first at once; none later than `maxDelayMs` from now. */
function pace(everyMs: number, maxDelayMs: number) {
  let opensMs = 0;
  return (): Departure => {
    const departure = Math.max(opensMs, Date.now());
    if (departure - Date.now() > maxDelayMs) return 'too_long';
    opensMs = departure + everyMs;
    return departure;
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
  const collect = (everyMs: number, maxDelayMs: number) => {
    const done: string[] = [];
    const reserve = pace(everyMs, maxDelayMs);
    const line = new DelayLine(Date.now, MOST_WAITING, () => done.push(`empty at ${Date.now()}`));
    const join = (name: string, gone = STAYING) =>
      void line.wait(reserve, gone).then((waited: Waited) => done.push(`${name} ${waited} at ${Date.now()}`));
    return { done, join };
  };

  it('lets go in the order of arrival, each at its departure', async () => {
    const { done, join } = collect(100, 1000);
    for (const name of ['a', 'b', 'c']) join(name);
    await pass(50);
    join('d');
    await pass(400);
    assert.deepEqual(
      done.filter((what) => !what.startsWith('empty')),
      ['a admitted at 0', 'b admitted at 100', 'c admitted at 200', 'd admitted at 300'],
    );
    assert.deepEqual(
      done.filter((what) => what.startsWith('empty')),
      ['empty at 300'],
    );
  });

  it('refuses at once who would wait too long, and holds nobody up by that', async () => {
    const { done, join } = collect(100, 250);
    for (const name of ['a', 'b', 'c', 'd']) join(name);
    await pass(1);
    assert.deepEqual(done.sort(), ['a admitted at 0', 'd too_long at 0']);
    await pass(119);
    join('e');
    await pass(400);
    assert.deepEqual(done.slice(2), ['b admitted at 100', 'c admitted at 200', 'empty at 300', 'e admitted at 300']);
  });

  it('lets the next go when one leaves, whether it was first or further behind', async () => {
    const { done, join } = collect(100, 1000);
    const [first, behind] = [new AbortController(), new AbortController()];
    join('a');
    join('b', first.signal);
    join('c');
    join('d', behind.signal);
    join('e');
    await pass(10);
    first.abort();
    behind.abort();
    await pass(240);
    // Two departures are left over: the next who comes is given the earlier of them.
    join('f');
    await pass(400);
    assert.deepEqual(done, [
      'a admitted at 0',
      'b gone at 10',
      'd gone at 10',
      'c admitted at 100',
      'e admitted at 200',
      'f admitted at 300',
      'empty at 400',
    ]);
  });

  it('counts a client that had left before as gone, and gives it no departure', async () => {
    const { done, join } = collect(100, 1000);
    join('a');
    join('b', AbortSignal.abort());
    join('c');
    await pass(100);
    assert.deepEqual(done.sort(), ['a admitted at 0', 'b gone at 0', 'c admitted at 100', 'empty at 100']);
  });

  it('has a bound, and room again when it has moved on', async () => {
    const { done, join } = collect(1, 5000);
    join('first');
    for (let waiting = 0; waiting < MOST_WAITING; waiting++) join('waiting');
    join('over');
    await settle();
    assert.deepEqual(done.sort(), ['first admitted at 0', 'over line_full at 0']);
    await pass(1);
    join('late');
    await pass(MOST_WAITING);
    assert.equal(done.filter((what) => what.startsWith('waiting admitted')).length, MOST_WAITING);
    assert.ok(done.includes(`late admitted at ${MOST_WAITING + 1}`));
  });

  it('that is opened lets all go, and keeps no departure for who comes next', async () => {
    let opensMs = 0;
    const lines = new DelayLines(Date.now, MOST_WAITING);
    const reserve = () => {
      opensMs += 500;
      return opensMs;
    };
    const left = new AbortController();
    void lines.wait('a', reserve, left.signal);
    const waits = [lines.wait('a', reserve, STAYING), lines.wait('b', reserve, STAYING)];
    left.abort();
    lines.open('a');
    assert.equal(await waits[0], 'admitted');
    assert.deepEqual(lines.clientIds, ['b']);
    opensMs = 200;
    const next = lines.wait('a', reserve, STAYING);
    await pass(699);
    assert.equal(lines.waiting('a'), 1, 'it has a departure of its own');
    await pass(1);
    assert.equal(await next, 'admitted');
    assert.equal(lines.size, 1);
  });

  it('of a client is forgotten with the last departure in it', async () => {
    const lines = new DelayLines(Date.now, MOST_WAITING);
    const reserve = pace(100, 1000);
    const gone = new AbortController();
    const join = (clientId: string, signal = STAYING) => lines.wait(clientId, reserve, signal);
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
