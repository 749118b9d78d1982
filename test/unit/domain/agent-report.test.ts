import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type AgentReport,
  type AgentState,
  afterReport,
  agentObstacle,
  parseAgentReport,
  SILENT_AGENT,
} from '../../../src/domain/agent-report.ts';

const SAYS_NOTHING: AgentReport = { percent: undefined, maxConnections: undefined, admin: undefined, operating: undefined };

describe('an answer of an agent', () => {
  for (const [answer, expected] of [
    ['75%\n', { percent: 75 }],
    ['0%', { percent: 0 }],
    ['150%\r\n', { percent: 150 }],
    ['99999%', { percent: 25_600 }],
    ['drain\n', { admin: 'drain' }],
    ['maint', { admin: 'maintenance' }],
    ['ready', { admin: 'ready' }],
    ['up', { operating: 'up' }],
    ['down', { operating: 'down' }],
    ['stopped', { operating: 'down' }],
    ['fail', { operating: 'down' }],
    ['failed', { operating: 'down' }],
    ['maxconn:30', { maxConnections: 30 }],
    ['maxconn:0', { maxConnections: 0 }],
    ['up 75% maxconn:30\n', { operating: 'up', percent: 75, maxConnections: 30 }],
    ['ready,up,\t50%', { admin: 'ready', operating: 'up', percent: 50 }],
    ['DOWN # 75% of the disk is gone', { operating: 'down' }],
    ['10% 20%', { percent: 20 }],
    ['up and running 20 % maxconn:x', { operating: 'up' }],
    ['up\ndown', { operating: 'up' }],
  ] as const) {
    test(`${JSON.stringify(answer)} says ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseAgentReport(answer), { ...SAYS_NOTHING, ...expected });
    });
  }

  for (const answer of ['', '\n', '  ', '# up', '-5%', '1e2%', 'constructor', 'HTTP/1.1 200 OK', 'maxconn:', '75']) {
    test(`${JSON.stringify(answer)} means nothing`, () => assert.ok('problem' in parseAgentReport(answer)));
  }

  test('whatever it is, it is read without an error, and never to a number out of bounds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (answer) => {
        const report = parseAgentReport(answer);
        if ('problem' in report) return;
        assert.ok((report.percent ?? 0) >= 0 && (report.percent ?? 0) <= 25_600);
        assert.ok((report.maxConnections ?? 0) >= 0);
      }),
    );
  });
});

describe('what an agent has said', () => {
  for (const [answers, expected] of [
    [['75%', 'up'], { percent: 75, standing: 'up' }],
    [['drain', 'up 50%'], { percent: 50, standing: 'drain' }],
    [['drain', 'ready'], { standing: 'up' }],
    [['down', 'ready'], { standing: 'down' }],
    [['down', '80%'], { percent: 80, standing: 'down' }],
    [['down', 'up'], { standing: 'up' }],
    [['maint', 'down', 'up'], { standing: 'maintenance' }],
    [['maint', 'drain'], { standing: 'drain' }],
    [['maint', 'down'], { standing: 'maintenanceAndDown' }],
    [['drain', 'down', 'ready'], { standing: 'down' }],
    [['maxconn:5', 'up'], { maxConnections: 5, standing: 'up' }],
  ] as const) {
    test(`holds until it says otherwise: ${answers.join(', then ')}`, () => {
      const state = answers.reduce((before: AgentState, answer) => {
        const report = parseAgentReport(answer);
        return 'problem' in report ? assert.fail(report.problem) : afterReport(before, report);
      }, SILENT_AGENT);
      assert.deepEqual(state, { ...SILENT_AGENT, ...expected });
    });
  }

  test('keeps new connections away unless it is up', () => {
    const obstacles = (['up', 'down', 'drain', 'maintenance', 'drainAndDown', 'maintenanceAndDown'] as const).map((standing) =>
      agentObstacle({ ...SILENT_AGENT, standing }),
    );
    assert.deepEqual(obstacles, [undefined, 'agentDown', 'agentDrain', 'agentMaintenance', 'agentDown', 'agentDown']);
  });
});
