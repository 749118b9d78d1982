import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { AgentChecker, type AskAgent } from '../../../src/controlplane/agent-checker.ts';
import type { AgentState } from '../../../src/domain/agent-report.ts';
import { DEFAULT_GROUP, DEFAULT_SERVER } from '../../../src/domain/defaults.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../../src/domain/model.ts';

const SILENCE = { info: () => undefined, warn: () => undefined };

function snapshotOf(addresses: readonly string[], port: number): Snapshot {
  const agentCheck = { port, intervalMs: 3_600_000, timeoutMs: 10_000 };
  const servers = addresses.map((address) => ({ address, ...DEFAULT_SERVER }));
  return { ...EMPTY_SNAPSHOT, targetGroups: new Map([['web', { ...DEFAULT_GROUP, name: 'web', servers, agentCheck }]]) };
}

/** Servers of these tests have IP addresses. */
const addressesOf = () => assert.fail('looked up');

const authorityOf = (snapshot: Snapshot) => ({ snapshot, subscribe: () => () => undefined });

test('a thousand agents are asked a bounded number at a time, and each of them', async () => {
  const waiting: (() => void)[] = [];
  const asked = new Set<string>();
  let most = 0;
  const ask: AskAgent = ({ host, port }) => {
    asked.add(`${host}:${port}`);
    const { promise, resolve } = Promise.withResolvers<string>();
    waiting.push(() => resolve('up'));
    most = Math.max(most, waiting.length);
    return promise;
  };
  const addresses = Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`);
  const checker = new AgentChecker({
    authority: authorityOf(snapshotOf(addresses, 9)),
    publish: () => undefined,
    addressesOf,
    log: SILENCE,
    ask,
  });
  checker.start();
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    next();
    // What an answer sets off happens in promises.
    await new Promise(setImmediate);
  }
  checker.stop();
  assert.equal(asked.size, 1000);
  assert.ok(most <= 128, `${most} at once`);
});

test('what an agent says is shown printable and short, and no more than a line of it is read', async (t) => {
  const agent = createServer((socket) => {
    socket.on('error', () => undefined);
    // It never ends its line.
    socket.write(`drain \u001b[31m ${'x'.repeat(1_000_000)}`);
    t.after(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  t.after(() => agent.close());
  await once(agent, 'listening');
  const address = agent.address();
  assert.ok(typeof address === 'object' && address !== null);
  const told = Promise.withResolvers<AgentState>();
  const checker = new AgentChecker({
    authority: authorityOf(snapshotOf(['127.0.0.1:80'], address.port)),
    publish: (_group, _server, state) => told.resolve(state),
    addressesOf,
    log: SILENCE,
  });
  t.after(() => checker.stop());
  checker.start();
  assert.equal((await told.promise).standing, 'drain');
  const said = checker.answerOf('web', '127.0.0.1:80')?.said ?? '';
  assert.match(said, /^drain \?\[31m x+$/);
  assert.ok(said.length <= 100);
});

test('an agent on a named host is asked at the addresses that connections use, the next where one does not answer', async (t) => {
  const asked: string[] = [];
  const told = Promise.withResolvers<AgentState>();
  const ask: AskAgent = async ({ host, port }) => {
    asked.push(`${host}:${port}`);
    if (host === '192.0.2.1') throw new Error('agent not reached: ECONNREFUSED');
    return 'drain';
  };
  const checker = new AgentChecker({
    authority: authorityOf(snapshotOf(['db.example.com:80'], 9)),
    publish: (_group, _server, state) => told.resolve(state),
    addressesOf: async (host) => (host === 'db.example.com' ? ['192.0.2.1', '192.0.2.2', '192.0.2.3'] : []),
    log: SILENCE,
    ask,
  });
  t.after(() => checker.stop());
  checker.start();
  assert.equal((await told.promise).standing, 'drain');
  assert.deepEqual(asked, ['192.0.2.1:9', '192.0.2.2:9']);
});

test('an agent on a host that is not found says so', async (t) => {
  const checker = new AgentChecker({
    authority: authorityOf(snapshotOf(['db.example.com:80'], 9)),
    publish: () => undefined,
    addressesOf: async () => [],
    log: SILENCE,
    ask: () => assert.fail('asked'),
  });
  t.after(() => checker.stop());
  checker.start();
  await new Promise(setImmediate);
  assert.partialDeepStrictEqual(checker.answerOf('web', 'db.example.com:80'), { ok: false, said: 'no address of db.example.com is known' });
});
