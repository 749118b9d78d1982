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
  const checker = new AgentChecker({ authority: authorityOf(snapshotOf(addresses, 9)), publish: () => undefined, log: SILENCE, ask });
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
    log: SILENCE,
  });
  t.after(() => checker.stop());
  checker.start();
  assert.equal((await told.promise).standing, 'drain');
  const said = checker.answerOf('web', '127.0.0.1:80')?.said ?? '';
  assert.match(said, /^drain \?\[31m x+$/);
  assert.ok(said.length <= 100);
});
