import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  AddUpstreamServerRequest,
  RemoveUpstreamServerRequest,
  type RemoveUpstreamServerResponse,
  AdminServiceService as rpc,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refusalIn, startAdmin, type TestAdmin, type Watch, watch } from '../support/admin-server.ts';

const SERVER = '127.0.0.1:8081';
const removal = (fields: Parameters<typeof RemoveUpstreamServerRequest.fromPartial>[0]) =>
  RemoveUpstreamServerRequest.fromPartial({ targetGroup: 'web', server: SERVER, ...fields });
const ms = (count: number) => ({ seconds: BigInt(Math.trunc(count / 1000)), nanos: (count % 1000) * 1e6 });

/** Lets the server hold `count` connections, and gives a way to end one. */
function hold(admin: TestAdmin, count: number): () => void {
  const slot = admin.slots.serverSlot('web', SERVER) ?? assert.fail('the server has no slot');
  for (let held = 0; held < count; held++) assert.ok(admin.worker.reserveServer(slot, admin.worker.serverActive(slot)));
  return () => admin.worker.releaseServer(slot);
}

/** The next message that fits: a slow reader is told the same again, second by second. */
async function nextThat(
  progress: Watch<RemoveUpstreamServerResponse>,
  fits: (message: RemoveUpstreamServerResponse) => boolean,
): Promise<RemoveUpstreamServerResponse> {
  for (;;) {
    const message = await progress.next();
    if (fits(message)) return message;
  }
}

test('a server without connections is gone in one message', async (t) => {
  const admin = await startAdmin(t);
  const progress = watch(await admin.as('operator'), rpc.removeUpstreamServer, removal({}));
  assert.deepEqual(await progress.next(), { revision: 2n, connectionsLeft: 0n, done: true, connectionsReset: 0n });
  assert.equal((await progress.ended()).code, Code.OK);
  assert.deepEqual(
    admin.authority.snapshot.targetGroups.get('web')?.servers.map(({ address }) => address),
    ['127.0.0.1:8082'],
  );
});

test('the connections left are told at once, every second, and at the end', async (t) => {
  const admin = await startAdmin(t);
  const endOne = hold(admin, 2);
  const progress = watch(await admin.as('operator'), rpc.removeUpstreamServer, removal({}));

  assert.deepEqual(await progress.next(), { revision: 2n, connectionsLeft: 2n, done: false, connectionsReset: 0n });
  endOne();
  const one = await nextThat(progress, ({ connectionsLeft }) => connectionsLeft !== 2n);
  assert.deepEqual(one, { revision: 2n, connectionsLeft: 1n, done: false, connectionsReset: 0n });
  endOne();
  const none = await nextThat(progress, ({ connectionsLeft }) => connectionsLeft !== 1n);
  assert.deepEqual(none, { revision: 2n, connectionsLeft: 0n, done: true, connectionsReset: 0n });
  assert.equal((await progress.ended()).code, Code.OK);
  assert.deepEqual(admin.closed, []);
});

test('what is left at the deadline is reset when the request says so', async (t) => {
  const admin = await startAdmin(t);
  const endOne = hold(admin, 2);
  admin.onClose = () => {
    endOne();
    endOne();
    return 2;
  };
  const progress = watch(await admin.as('operator'), rpc.removeUpstreamServer, removal({ deadline: ms(150), resetAtDeadline: true }));

  assert.equal((await progress.next()).connectionsLeft, 2n);
  assert.deepEqual(await progress.next(), { revision: 2n, connectionsLeft: 0n, done: true, connectionsReset: 2n });
  assert.deepEqual(admin.closed, [{ selector: { group: 'web', server: SERVER }, reason: 'upstream_removed' }]);
});

test('otherwise it is left alone, and a deadline of 0 ends at once', async (t) => {
  const admin = await startAdmin(t);
  hold(admin, 2);
  const progress = watch(await admin.as('operator'), rpc.removeUpstreamServer, removal({ deadline: ms(0) }));
  assert.deepEqual(await progress.next(), { revision: 2n, connectionsLeft: 2n, done: true, connectionsReset: 0n });
  assert.deepEqual(admin.closed, []);
});

test('the configured drain time-out holds when the request gives no deadline', async (t) => {
  const admin = await startAdmin(t, { drainTimeoutMs: 100 });
  hold(admin, 1);
  const progress = watch(await admin.as('operator'), rpc.removeUpstreamServer, removal({}));
  assert.equal((await progress.next()).done, false);
  assert.equal((await progress.next()).done, true);
});

test('a caller that goes away stops the report, not the removal nor its reset', async (t) => {
  const admin = await startAdmin(t);
  const endOne = hold(admin, 1);
  const reset = Promise.withResolvers<void>();
  admin.onClose = () => {
    endOne();
    reset.resolve();
    return 1;
  };
  const progress = watch(await admin.as('operator'), rpc.removeUpstreamServer, removal({ deadline: ms(1500), resetAtDeadline: true }));
  await progress.next();
  assert.equal((await progress.cancel()).code, Code.CANCELLED);
  await reset.promise;
  assert.equal(admin.authority.snapshot.revision, 2);
});

test('a server that was added again meanwhile is not reset', async (t) => {
  const admin = await startAdmin(t);
  hold(admin, 1);
  const operator = await admin.as('operator');
  const progress = watch(operator, rpc.removeUpstreamServer, removal({ deadline: ms(1500), resetAtDeadline: true }));
  await progress.next();
  await ask(operator, rpc.addUpstreamServer, AddUpstreamServerRequest.fromPartial({ targetGroup: 'web', server: { address: SERVER } }));
  const last = await nextThat(progress, ({ done }) => done);
  assert.deepEqual(last, { revision: 2n, connectionsLeft: 1n, done: true, connectionsReset: 0n });
  assert.deepEqual(admin.closed, []);
});

test('a repeated request is done at once with the revision it made', async (t) => {
  const admin = await startAdmin(t);
  hold(admin, 1);
  const operator = await admin.as('operator');
  const request = removal({ requestId: 'once', deadline: ms(0) });
  await watch(operator, rpc.removeUpstreamServer, request).next();
  const again = watch(operator, rpc.removeUpstreamServer, request);
  assert.deepEqual(await again.next(), { revision: 2n, connectionsLeft: 0n, done: true, connectionsReset: 0n });
  assert.equal((await again.ended()).code, Code.OK);
  assert.equal(admin.authority.snapshot.revision, 2);
});

test('refusals come before anything is changed', async (t) => {
  const admin = await startAdmin(t);
  const operator = await admin.as('operator');
  const cases = [
    [removal({ targetGroup: 'nope' }), Code.NOT_FOUND, 'TARGET_GROUP_NOT_FOUND'],
    [removal({ server: '127.0.0.1:1' }), Code.NOT_FOUND, 'UPSTREAM_SERVER_NOT_FOUND'],
    [removal({ server: 'nowhere' }), Code.INVALID_ARGUMENT, 'INVALID_FIELD'],
    [removal({ deadline: { seconds: -1n, nanos: 0 } }), Code.INVALID_ARGUMENT, 'INVALID_FIELD'],
    [removal({ expectedRevision: 9n }), Code.ABORTED, 'REVISION_CONFLICT'],
  ] as const;
  for (const [request, code, reason] of cases) {
    const refusal = refusalIn(await watch(operator, rpc.removeUpstreamServer, request).ended());
    assert.equal(refusal.code, code);
    assert.equal(refusal.reason, reason);
  }
  assert.equal(admin.authority.snapshot.revision, 1);
});
