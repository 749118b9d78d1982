import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LimiterCells } from '../../../src/controlplane/limiter-cells.ts';
import { Admission } from '../../../src/dataplane/admission.ts';
import { DelayedConnections } from '../../../src/dataplane/delayed-connections.ts';
import { Refusal } from '../../../src/dataplane/refusal.ts';
import type { ClientView, RateView } from '../../../src/dataplane/view.ts';
import { NO_LIMITS } from '../../../src/domain/defaults.ts';
import type { ConnectionRate } from '../../../src/domain/model.ts';
import { limitAt } from '../../../src/domain/ratelimit/limit-state.ts';
import { ruleOf } from '../../../src/domain/ratelimit/rate-rule.ts';
import { monotonicMs } from '../../../src/shared/clock.ts';
import { CellLock } from '../../../src/shared/memory/cell-lock.ts';
import { LaneWriter } from '../../../src/shared/memory/lane-writer.ts';
import { createSharedBuffers } from '../../../src/shared/memory/layout.ts';
import { sampleClient } from '../../support/sample-state.ts';

const BY_WINDOW: ConnectionRate = { algorithm: 'fixedWindow', limit: 2, windowMs: 50, burst: 0, action: 'delay', maxDelayMs: 5_000 };
const BY_LOG: ConnectionRate = { ...BY_WINDOW, algorithm: 'slidingWindowLog', limit: 6 };
const DAILY = { windowMs: 86_400_000, action: 'reset' } as const;

/** What a connection of the client comes with, that stays. */
const GROUND = { identity: undefined, source: undefined, clientId: 'a', group: 'web' };
const WAITING = {
  gone: new AbortController().signal,
  stillTrusted: async () => undefined,
  onWaits: () => undefined,
  onWaited: () => undefined,
};

function delayedOf(lane: LaneWriter): DelayedConnections {
  return new DelayedConnections({ lane, nowMs: monotonicMs, isLimited: () => true, objectionTo: () => undefined });
}

/** A worker whose client's limit is edited. */
function edited(before: ConnectionRate, after: ConnectionRate) {
  const limiters = new LimiterCells(monotonicMs);
  const viewOf = (connectionRate: ConnectionRate, revision: number): ClientView & { readonly rate: RateView } => {
    const client = sampleClient('a', ['web'], { limits: { ...NO_LIMITS, connectionRate } });
    const cells = limiters.follow(client, revision) ?? assert.fail('the edit needs no other cells');
    return {
      client,
      slot: 0,
      rate: { policy: connectionRate, limit: limitAt(revision, ruleOf(connectionRate), false), cells: new CellLock(cells) },
    };
  };
  const old = viewOf(before, 1);
  let rateNow: RateView | undefined = old.rate;
  const lane = new LaneWriter(createSharedBuffers(1), 0);
  const admission = new Admission({
    lane,
    nowMs: monotonicMs,
    rateNow: () => rateNow,
    delayed: delayedOf(lane),
    log: { debug: () => undefined },
  });
  return {
    old,
    edit: () => viewOf(after, 2),
    hear: (rate: RateView | undefined) => {
      rateNow = rate;
    },
    admit: (view: ClientView) => admission.admit(view, GROUND, WAITING),
    peek: (view: ClientView) => admission.peekRate(view),
  };
}

const limited = (error: unknown) => error instanceof Refusal && error.reason === 'rate_limited';

test('by cells that have moved nobody is admitted; by the new ones as soon as they are here, whatever the connection came by', async () => {
  const { old, edit, hear, admit, peek } = edited({ ...BY_WINDOW, ...DAILY }, { ...BY_LOG, ...DAILY });
  await admit(old);
  const { rate } = edit();
  await assert.rejects(admit(old), limited);
  assert.throws(() => peek(old), limited);
  hear(rate);
  assert.match(peek(old), /^5 more now/);
  for (let count = 0; count < 5; count++) await admit(old);
  await assert.rejects(admit(old), limited);
});

test('who waits for its turn while the cells move gets it by the new ones', async () => {
  const { old, edit, hear, admit } = edited(BY_WINDOW, BY_LOG);
  for (let count = 0; count < 2; count++) await admit(old);
  const waiting = admit(old);
  hear(edit().rate);
  await waiting;
});

test('who waits for its turn while the limit is removed has it', async () => {
  const { old, edit, hear, admit } = edited(BY_WINDOW, BY_LOG);
  for (let count = 0; count < 2; count++) await admit(old);
  const waiting = admit(old);
  edit();
  hear(undefined);
  await waiting;
});

test('a client that holds more than its limit is told both numbers', async () => {
  const lane = new LaneWriter(createSharedBuffers(1), 0);
  const admission = new Admission({
    lane,
    nowMs: monotonicMs,
    rateNow: () => undefined,
    delayed: delayedOf(lane),
    log: { debug: () => undefined },
  });
  const viewOf = (concurrentConnections: number): ClientView => ({
    client: sampleClient('a', ['web'], { limits: { ...NO_LIMITS, concurrentConnections } }),
    slot: 0,
    rate: undefined,
  });
  const admit = (limit: number) => admission.admit(viewOf(limit), GROUND, WAITING);
  for (let held = 0; held < 3; held++) await admit(5);
  const refusal = { reason: 'too_many_connections', message: 'a holds 3 connections; its limit is 2' };
  await assert.rejects(admit(2), refusal);
  assert.throws(() => admission.peekPlace(viewOf(2)), refusal);
});
