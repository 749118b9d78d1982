import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { AdminError, refusalOf, statusOf } from '../../../src/admin/errors.ts';
import { RevisionConflictError, StoreUnavailableError } from '../../../src/controlplane/store/store.ts';
import { DomainError } from '../../../src/domain/errors.ts';
import { refusalIn } from '../../support/admin-server.ts';

const CASES: readonly (readonly [Error, Code, string, readonly string[]])[] = [
  [
    new DomainError('invalid', 'targetGroup.healthCheck.maxInterval', 'm'),
    Code.INVALID_ARGUMENT,
    'INVALID_FIELD',
    ['target_group.health_check.max_interval'],
  ],
  [new DomainError('not_found', 'targetGroup', 'm'), Code.NOT_FOUND, 'TARGET_GROUP_NOT_FOUND', []],
  [new DomainError('not_found', 'client.allowedTargetGroups', 'm'), Code.NOT_FOUND, 'TARGET_GROUP_NOT_FOUND', []],
  [new DomainError('not_found', 'server', 'm'), Code.NOT_FOUND, 'UPSTREAM_SERVER_NOT_FOUND', []],
  [new DomainError('already_exists', 'client.clientId', 'm'), Code.ALREADY_EXISTS, 'CLIENT_ALREADY_EXISTS', []],
  [new DomainError('in_use', 'name', 'm'), Code.FAILED_PRECONDITION, 'TARGET_GROUP_IN_USE', []],
  [new DomainError('exhausted', 'clients', 'm'), Code.RESOURCE_EXHAUSTED, 'CLIENT_EXHAUSTED', []],
  [new DomainError('exhausted', '', 'm'), Code.RESOURCE_EXHAUSTED, 'EXHAUSTED', []],
  [new DomainError('revision_conflict', '', 'm'), Code.ABORTED, 'REVISION_CONFLICT', []],
  [new RevisionConflictError(1, 2), Code.ABORTED, 'REVISION_CONFLICT', []],
  [new StoreUnavailableError('m'), Code.UNAVAILABLE, 'STORE_UNAVAILABLE', []],
  [new AdminError(Code.OUT_OF_RANGE, 'COMPACTED', 'm'), Code.OUT_OF_RANGE, 'COMPACTED', []],
];

for (const [error, code, reason, fields] of CASES) {
  test(`${error.name} ${'code' in error ? error.code : ''} ${'field' in error ? error.field : ''} is ${Code[code]} ${reason}`, () => {
    const refusal = refusalOf(error) ?? assert.fail('it counts as a defect');
    assert.deepEqual(refusalIn(statusOf(refusal)), { code, reason, message: refusal.message, domain: 'portcullis', fields });
  });
}

test('any other error is a defect', () => {
  assert.equal(refusalOf(new TypeError('x')), undefined);
  assert.equal(refusalOf('x'), undefined);
});

test('half a surrogate pair in a message does not break the header that carries it', () => {
  const refusal = refusalOf(new DomainError('invalid', 'name', `a\ud800b\u202ec`)) ?? assert.fail();
  assert.equal(refusal.message, 'a\ufffdb?c');
  assert.doesNotThrow(() => encodeURI(statusOf(refusal).details));
});

test('a long message is cut without cutting a character in two', () => {
  const refusal = refusalOf(new DomainError('invalid', 'name', `x${'😀'.repeat(400)}`)) ?? assert.fail();
  assert.ok(refusal.message.length <= 500);
  assert.ok(refusal.message.isWellFormed());
});
