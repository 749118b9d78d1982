import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { Planner, PlannerUnavailableError } from '../../../src/controlplane/planner.ts';
import { encodeCommand } from '../../../src/controlplane/store/codec.ts';
import { createPlanner } from '../../../src/daemon.ts';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import { EMPTY_SNAPSHOT } from '../../../src/domain/model.ts';
import { apply, type Command } from '../../../src/domain/state.ts';
import { sampleClient, sampleGroup, sampleListener } from '../../support/sample-state.ts';

const TAKE_IN: Command = {
  kind: 'replaceAll',
  listeners: [sampleListener('main')],
  targetGroups: [sampleGroup('web', ['127.0.0.1:8081'])],
  clients: [sampleClient('alice', ['web'])],
  revocations: [],
};
const STATE = apply(EMPTY_SNAPSHOT, TAKE_IN);
const RUNNING = parseConfig(
  '{listeners: [{name: main, address: "127.0.0.1:0"}], tlsParams: {certificate: a, privateKey: b, caCert: c}}',
  '/etc/lb.yaml',
);

describe('the planner', () => {
  it('plans towards a text and towards the past, exports, and tells what updates made different', async (t) => {
    const planner = realPlanner(t);
    const text = await planner.export(STATE);
    const same = await planner.plan({ kind: 'config', text }, STATE);
    assert.deepEqual('differences' in same && same.differences, []);
    const update: Command = { kind: 'updateClient', client: sampleClient('alice', ['web'], { limits: limits(5) }) };
    const later = apply(STATE, update);
    const back = { kind: 'recorded', revision: 1, recorded: { snapshot: undefined, commands: [encodeCommand(TAKE_IN)] } } as const;
    const plan = await planner.plan(back, later);
    assert.ok('command' in plan);
    assert.deepEqual(apply(later, plan.command).clients, STATE.clients);
    const made = await planner.retell(back.recorded, [{ revision: 2, command: update }]);
    assert.deepEqual(made.get(2), [{ kind: 'added', path: 'clients/alice/limits/concurrentConnections', before: '', after: '5' }]);
    const unreadable = await planner.plan({ kind: 'config', text: 'listenAddress: 7\n' }, STATE);
    assert.ok('problems' in unreadable && unreadable.problems.length > 0);
  });

  it('reads the same goal once, and plans it on each state', async (t) => {
    const planner = realPlanner(t);
    const goal = { kind: 'config', text: await planner.export(STATE) } as const;
    await planner.plan(goal, STATE);
    const plan = await planner.plan(goal, apply(STATE, { kind: 'removeClient', clientId: 'alice' }));
    assert.deepEqual('command' in plan && plan.command.clients, { put: [sampleClient('alice', ['web'])], removed: [] });
  });

  it('without files, finds out nothing about them, and says whose TLS files are not in use', async (t) => {
    const planner = realPlanner(t);
    // Beside the process it is there, beside the running file it is not.
    const caCert = 'package.json';
    const tlsParams = { certificate: 'a', privateKey: 'b', caCert };
    const text = JSON.stringify({ listeners: [{ name: 'main', address: '127.0.0.1:0' }], tlsParams });
    const planned = async (withoutFiles: boolean) => {
      const plan = await planner.plan({ kind: 'config', text, withoutFiles }, STATE);
      assert.ok('command' in plan, JSON.stringify(plan));
      return [plan.command.listeners?.[0]?.tls?.caCert, plan.unread];
    };
    assert.deepEqual(await planned(false), [path.resolve(caCert), []]);
    assert.deepEqual(await planned(true), ['/etc/package.json', ['listener "main"']]);
  });

  it('fails the question under way when its thread ends, and answers the next one', async (t) => {
    const planner = realPlanner(t);
    const failed = assert.rejects(planner.export(STATE), PlannerUnavailableError);
    await turn();
    await planner.stop();
    await failed;
    assert.match(await planner.export(STATE), /alice/);
  });

  it('says so when its thread dies, and takes no more questions than it can hold', async (t) => {
    const lines: string[] = [];
    const program = new URL("data:text/javascript,throw new Error('no memory')");
    const planner = new Planner({ program, running: {}, log: { error: (_, message) => void lines.push(message) } });
    t.after(() => planner.stop());
    const questions = Array.from({ length: 9 }, () => planner.export(STATE));
    const outcomes = await Promise.allSettled(questions);
    const reasons = outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'answered'));
    assert.equal(reasons.filter((reason) => /^PlannerUnavailableError: the thread that reads configurations died/.test(reason)).length, 8);
    assert.match(reasons.at(-1) ?? '', /^PlannerUnavailableError: 8 configurations are being worked on already/);
    assert.ok(lines.length > 0);
  });
});

function realPlanner(t: TestContext): Planner {
  const planner = createPlanner(RUNNING, { error: () => undefined });
  t.after(() => planner.stop());
  return planner;
}

const limits = (concurrentConnections: number) => ({ ...NO_LIMITS, concurrentConnections });
const turn = () => new Promise((resolve) => setImmediate(resolve));
