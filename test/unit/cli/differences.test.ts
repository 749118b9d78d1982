import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blastRadiusText, differencesText, restartText } from '../../../cli/differences.ts';
import { type Difference, Difference_Kind as Kind } from '../../../src/gen/lb/admin/v1/admin.ts';

const noPaint = (text: string) => text;
const text = (...differences: readonly Difference[]) => differencesText(differences, noPaint);

test('what is added, removed and changed has its sign and its values', () => {
  assert.equal(
    text(
      { kind: Kind.ADDED, path: 'clients/b', before: '', after: '{"match":{"cn":"b"},"allowedTargetGroups":["web"]}' },
      { kind: Kind.REMOVED, path: 'targetGroups/web/upstreamServers/a:1', before: '{"weight":5}', after: '' },
      { kind: Kind.CHANGED, path: 'targetGroups/web/algorithm', before: '"random"', after: '"roundRobin"' },
    ),
    [
      '+ clients/b',
      '    match.cn: b',
      '    allowedTargetGroups: ["web"]',
      '- targetGroups/web/upstreamServers/a:1  weight: 5',
      '~ targetGroups/web/algorithm  random -> roundRobin',
    ].join('\n'),
  );
});

test('of a changed object only what differs is shown', () => {
  const before = '{"limit":10,"window":"1s","burst":3}';
  const after = '{"limit":20,"window":"1s","action":"close"}';
  assert.equal(
    text({ kind: Kind.CHANGED, path: 'clients/a/limits', before, after }),
    '~ clients/a/limits\n    limit: 10 -> 20\n    burst: 3 -> (nothing)\n    action: (nothing) -> close',
  );
});

test('what is no JSON, or hostile, is shown harmlessly', () => {
  assert.equal(text({ kind: Kind.ADDED, path: 'a\u001b[2J', before: '', after: 'x\u001b\n' }), '+ a\\x1b[2J  = x\\x1b\\x0a');
  assert.equal(text({ kind: Kind.ADDED, path: 'a', before: '', after: '{"k\\u001b":"v\\n"}' }), '+ a  k\\x1b: v\\x0a');
});

test('the blast radius says whom it touches, or nobody', () => {
  assert.equal(blastRadiusText(undefined), 'Blast radius: no connection and no client');
  assert.equal(
    blastRadiusText({
      connectionsDraining: 1n,
      connectionsClosing: 2n,
      waitingRefused: 1n,
      lostAccess: [
        { clientId: 'a', targetGroup: 'web', connections: 2n },
        { clientId: 'b', targetGroup: '', connections: 0n },
      ],
      revoked: [{ fingerprint: 'ab'.repeat(32), clientId: 'c', connections: 1n }],
    }),
    [
      'Blast radius: 2 connections would close (1 waiting), 1 connection to removed servers or listeners goes on until it ends',
      '  a loses web (2 live connections)',
      '  b is removed (0 live connections)',
      '  c loses its certificate abababababababab..., which is revoked (1 live connection)',
    ].join('\n'),
  );
});

test('what needs a restart is listed', () => {
  assert.equal(restartText([]), '');
  assert.equal(restartText(['listeners']), 'Takes effect only when lbd starts with this file:\n  listeners');
});
