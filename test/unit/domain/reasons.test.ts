import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOSE_REASONS, isRefusal, REASON_MEANING, REASONS, REFUSAL_REASONS, reasonIndex } from '../../../src/domain/reasons.ts';

test('every reason is one lower-case word with underscores, is listed once and says what it means', () => {
  assert.equal(new Set(REASONS).size, REASONS.length);
  for (const reason of REASONS) {
    assert.match(reason, /^[a-z]+(?:_[a-z]+)*$/);
    assert.match(REASON_MEANING[reason], /^\S[^\n]{15,}[^.\s]$/);
  }
});

test('every reason has a counter of its own, within the list', () => {
  assert.deepEqual(
    REASONS.map(reasonIndex),
    REASONS.map((_, index) => index),
  );
});

test('the counter of a refusal is its place among the refusals, which a client keeps counters for alone', () => {
  assert.deepEqual(REFUSAL_REASONS.map(reasonIndex), [...REFUSAL_REASONS.keys()]);
});

test('a reason is either a refusal or a close', () => {
  assert.deepEqual(REASONS.filter(isRefusal), [...REFUSAL_REASONS]);
  assert.deepEqual(
    REASONS.filter((reason) => !isRefusal(reason)),
    [...CLOSE_REASONS],
  );
});

test('the reasons that the interfaces promise are there', () => {
  const promised =
    'handshake_timeout handshake_failed no_client_certificate certificate_revoked certificate_expired ambiguous_identity ' +
    'unknown_client no_route not_authorized rate_limited too_many_connections no_healthy_upstream upstream_connect_failed ' +
    'upstream_timeout client_closed upstream_closed client_reset upstream_reset idle_timeout max_duration client_removed ' +
    'upstream_removed upstream_unhealthy killed_by_admin shutdown';
  const listed: ReadonlySet<string> = new Set(REASONS);
  assert.deepEqual(
    promised.split(' ').filter((reason) => !listed.has(reason)),
    [],
  );
});
