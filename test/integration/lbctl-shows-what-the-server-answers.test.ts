import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code, Metadata, type ServerWritableStream, type sendUnaryData } from '@grpc/grpc-js';
import { BadRequest } from '../../src/gen/google/rpc/error_details.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import {
  type AddClientResponse,
  ListClientsResponse,
  type RemoveUpstreamServerRequest,
  RemoveUpstreamServerResponse,
  RollbackConfigResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { lbctl } from '../support/lbctl.ts';
import { startScriptedAdmin } from '../support/scripted-admin.ts';

test('each field at fault is named with its problem', async (t) => {
  const fieldViolations = [
    { field: 'client.client_id', description: 'is empty' },
    { field: 'client.allowed_target_groups', description: 'names no group' },
  ];
  const value = Buffer.from(BadRequest.encode({ fieldViolations }).finish());
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.BadRequest', value }];
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(Status.encode({ code: Code.INVALID_ARGUMENT, message: 'bad', details }).finish()));
  const env = await startScriptedAdmin(t, {
    addClient: (_call: unknown, callback: sendUnaryData<AddClientResponse>) =>
      callback({ code: Code.INVALID_ARGUMENT, details: 'bad', metadata }),
  });
  const { code, stderr } = await lbctl(['add-client', '--client', 'c', '--target-group', 'g'], { env });
  assert.equal(stderr, 'lbctl: refused (INVALID_ARGUMENT): client.client_id: is empty; client.allowed_target_groups: names no group\n');
  assert.equal(code, 1);
});

test('a request that was accepted before is told by what it made then', async (t) => {
  const env = await startScriptedAdmin(t, {
    rollbackConfig: (_call: unknown, callback: sendUnaryData<RollbackConfigResponse>) =>
      callback(null, RollbackConfigResponse.fromPartial({ revision: 7n, alreadyApplied: true })),
  });
  const { code, stdout } = await lbctl(['rollback', '--to', '3', '--request-id', 'once'], { env });
  assert.deepEqual([code, stdout], [0, 'this request was accepted before: gone back at revision 7, and nothing was changed now\n']);
});

test('what the server sends cannot steer the terminal', async (t) => {
  const clientId = 'evil\u001b]0;owned\u0007\u202e\nroot';
  const env = await startScriptedAdmin(t, {
    listClients: (_call: unknown, callback: sendUnaryData<ListClientsResponse>) =>
      callback(null, ListClientsResponse.fromPartial({ clients: [{ client: { clientId } }] })),
    getState: (_call: unknown, callback: sendUnaryData<never>) => callback({ code: Code.INTERNAL, details: 'no\u0007thing\u009b' }),
  });
  for (const output of ['table', 'json', 'yaml']) {
    const { stdout } = await lbctl(['list-clients', '--output', output], { env });
    assert.match(stdout, /evil/);
    assert.doesNotMatch(stdout, /(?!\n)\p{Cc}|\u202e/u, output);
  }
  const { stdout } = await lbctl(['list-clients', '-o', 'json'], { env });
  assert.equal(JSON.parse(stdout).clients[0].client.clientId, clientId);
  const { stderr } = await lbctl(['get-state'], { env });
  assert.match(stderr, /^lbctl: refused \(INTERNAL\): [^\p{Cc}]+\n$/u);
});

test('an empty list says so', async (t) => {
  const env = await startScriptedAdmin(t, {
    listClients: (_call: unknown, callback: sendUnaryData<ListClientsResponse>) => callback(null, ListClientsResponse.fromPartial({})),
  });
  assert.deepEqual(await lbctl(['list-clients'], { env }), { code: 0, stdout: 'no clients\n', stderr: '' });
  assert.equal((await lbctl(['list-clients', '-o', 'json'], { env })).stdout, '{"clients":[],"revision":0}\n');
});

test('a drain tells its progress until it is done', async (t) => {
  let asked: RemoveUpstreamServerRequest | undefined;
  const env = await startScriptedAdmin(t, {
    removeUpstreamServer: (call: ServerWritableStream<RemoveUpstreamServerRequest, RemoveUpstreamServerResponse>) => {
      asked = call.request;
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, connectionsLeft: 3n }));
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, connectionsLeft: 1n }));
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, done: true, connectionsReset: 1n }));
      call.end();
    },
  });
  const command = 'remove-upstream-server --target-group g --server 127.0.0.1:8083 --deadline 90s --reset'.split(' ');
  const { code, stdout } = await lbctl(command, { env });
  assert.equal(
    stdout,
    'removed 127.0.0.1:8083 from g (revision 12)\n3 connections left\n1 connection left\ndone: no connections left, 1 connection reset\n',
  );
  assert.equal(code, 0);
  assert.deepEqual([asked?.deadline?.seconds, asked?.resetAtDeadline], [90n, true]);
});

test('a removal that leaves connections at its deadline is exit code 1, and says what ends them', async (t) => {
  const env = await startScriptedAdmin(t, {
    removeUpstreamServer: (call: ServerWritableStream<RemoveUpstreamServerRequest, RemoveUpstreamServerResponse>) => {
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, connectionsLeft: 3n }));
      call.write(RemoveUpstreamServerResponse.fromPartial({ revision: 12n, connectionsLeft: 2n, done: true }));
      call.end();
    },
  });
  const command = 'remove-upstream-server --target-group g --server a:1 --deadline 3s'.split(' ');
  assert.deepEqual(await lbctl(command, { env }), {
    code: 1,
    stdout: 'removed a:1 from g (revision 12)\n3 connections left\n2 connections left\n',
    stderr:
      'lbctl: 2 connections left after 3s; the server is removed and they go on until they end, or lbctl close-connections --target-group g --server a:1\n',
  });
});

test('a server that is older than lbctl, and one that never answers', async (t) => {
  const env = await startScriptedAdmin(t, { getLogLevel: () => {} });
  const older = await lbctl(['list-clients'], { env });
  assert.match(older.stderr, /^lbctl: refused \(UNIMPLEMENTED\): .*is lbd older than this lbctl\?\n$/);
  assert.equal(older.code, 1);
  const hasty = await lbctl(['get-log-level', '--timeout', '1ms'], { env });
  assert.match(hasty.stderr, /^lbctl: cannot reach \S+: it answers, but not within 1ms; give it longer with --timeout\n$/);
  assert.equal(hasty.code, 3);
  let silent = hasty;
  // Long enough to be connected by then.
  for (let seconds = 2; silent.stderr.includes('it answers') && seconds <= 32; seconds *= 2)
    silent = await lbctl(['get-log-level', '--timeout', `${seconds}s`], { env });
  assert.match(silent.stderr, /^lbctl: cannot reach \S+: it did not answer within \d+s; try again, or give it longer with --timeout\n$/);
  assert.equal(silent.code, 3);
});
