import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type StatsScope, statsLines } from '../../../cli/commands/stats-lines.ts';
import { HealthState, WatchStatsResponse } from '../../../src/gen/lb/admin/v1/admin.ts';

/** `second` seconds after the start. Of everything there is ten times as much as of the client, and three times as much as of a:1. */
function stats(second: number, more: Parameters<typeof WatchStatsResponse.fromPartial>[0] = {}): WatchStatsResponse {
  const times = (amount: number) => BigInt(amount * second);
  return WatchStatsResponse.fromPartial({
    at: new Date(Date.UTC(2030, 0, 1, 12, 0, second)),
    activeConnections: 50n,
    accepted: times(100),
    refused: times(20),
    byReason: [{ reason: 'no_route', count: times(20), refused: true }],
    servers: [
      { targetGroup: 'web', server: 'a:1', health: HealthState.HEALTHY, counters: { active: 3n, connected: times(7), failed: times(1) } },
      { targetGroup: 'web', server: 'b:1', health: HealthState.UNHEALTHY, counters: { active: 6n, bytesFromUpstream: times(4_000) } },
    ],
    clients: [
      {
        clientId: 'c',
        counters: {
          active: 5n,
          accepted: times(10),
          refused: times(2),
          refusedByReason: [{ reason: 'rate_limited', count: times(2), refused: true }],
          bytesToClient: times(1_500),
          rateHeadroom: 8,
          connectionsHeadroom: 0,
          shadowRefused: [{ reason: 'paced', count: 6n }],
          delayed: 4n,
        },
      },
    ],
    ...more,
  });
}

const ALL: StatsScope = { targetGroup: '', server: '', clientId: '' };

function linesOf(scope: Partial<StatsScope>, ...messages: readonly WatchStatsResponse[]): string[] {
  const lines = statsLines({ ...ALL, ...scope }, (text) => text);
  return messages.flatMap((message) => lines(message).split('\n')).map((line) => line.trimEnd().replace(/ {2,}/g, '  '));
}

test('without an option, the numbers are those of everything, and it says so', () => {
  assert.deepEqual(linesOf({}, stats(1), stats(2)), [
    'the whole load balancer, since lbd started',
    'TIME  ACTIVE  ACCEPTED  PER SECOND  REFUSED  PER SECOND  HEALTHY  BY REASON',
    '12:00:01Z  50  100  -  20  -  1/2  refused: no_route 20',
    '12:00:02Z  50  200  100.0  40  20.0  1/2  refused: no_route 40',
  ]);
});

test('with a client they are its own, with what is left of its limits', () => {
  assert.deepEqual(linesOf({ clientId: 'c' }, stats(1), stats(2)), [
    'client c, since lbd started',
    'TIME  ACTIVE  ACCEPTED  PER SECOND  REFUSED  PER SECOND  UP/S  DOWN/S  LIMIT LEFT  BY REASON',
    '12:00:01Z  5  10  -  2  -  -  -  0 open  4 wait for their turn; refused: rate_limited 2; in shadow: paced 6',
    '12:00:02Z  5  20  10.0  4  2.0  0 B  1.5 KB  0 open  4 wait for their turn; refused: rate_limited 4; in shadow: paced 6',
  ]);
});

test('with a target group they are the sum of its servers, with a server its own', () => {
  const groups = [{ targetGroup: 'web', waiting: 4 }];
  assert.deepEqual(linesOf({ targetGroup: 'web' }, stats(1, { groups }), stats(2, { groups })), [
    'target group web, all its servers, since lbd started',
    'TIME  ACTIVE  CONNECTED  PER SECOND  FAILED  PER SECOND  UP/S  DOWN/S  HEALTHY  NOW',
    '12:00:01Z  9  7  -  1  -  -  -  1/2  4 waiting',
    '12:00:02Z  9  14  7.0  2  1.0  0 B  4.0 KB  1/2  4 waiting',
  ]);
  const one = stats(1, {
    groups,
    servers: [
      {
        ...stats(1).servers[0],
        ejected: true,
        agent: { said: '50% drain', understood: true, standing: 'drain' },
        slowStartPercent: 40,
      },
    ],
  });
  assert.deepEqual(linesOf({ targetGroup: 'web', server: 'a:1' }, one).toSpliced(1, 1), [
    'upstream server a:1 of target group web, since lbd started',
    '12:00:01Z  3  7  -  1  -  -  -  healthy  ejected, kept out by the agent, agent says 50% drain, slow start 40%',
  ]);
});

test('of several servers it says how many are not as usual', () => {
  const servers = stats(1).servers.map((server) => ({ ...server, inPanic: true, slowStartPercent: 10 }));
  assert.match(linesOf({ targetGroup: 'web' }, stats(1, { servers })).at(-1) ?? '', / {2}2 in panic, 2 in slow start$/);
});

test('a client or a server that is removed is said, and a restart of lbd makes no negative rate', () => {
  assert.equal(linesOf({ clientId: 'c' }, stats(2), stats(3, { clients: [] })).at(-1), '12:00:03Z  it is not there any more');
  assert.equal(linesOf({ server: 'a:1' }, stats(2), stats(3, { servers: [] })).at(-1), '12:00:03Z  it is not there any more');
  const restarted = { ...stats(1), at: new Date(Date.UTC(2030, 0, 1, 12, 0, 9)) };
  assert.match(linesOf({ clientId: 'c' }, stats(5), restarted).at(-1) ?? '', /^12:00:09Z {2}5 {2}10 {2}- {2}2 {2}- /);
});
