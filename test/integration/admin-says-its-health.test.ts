import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { HealthService as rpc, HealthCheckResponse_ServingStatus as Serving } from '../../src/gen/grpc/health/v1/health.ts';
import { ask, refused, startAdmin, watch } from '../support/admin-server.ts';

const SERVICE = 'lb.admin.v1.AdminService';

test('the server and its service are SERVING, and NOT_SERVING while draining', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  const watched = watch(viewer, rpc.watch, { service: SERVICE });
  assert.deepEqual(await watched.next(), { status: Serving.SERVING });
  assert.deepEqual(await ask(viewer, rpc.check, { service: '' }), { status: Serving.SERVING });
  assert.deepEqual((await ask(viewer, rpc.list, {})).statuses, { '': { status: Serving.SERVING }, [SERVICE]: { status: Serving.SERVING } });

  admin.server.drain();

  assert.deepEqual(await watched.next(), { status: Serving.NOT_SERVING });
  assert.deepEqual(await ask(viewer, rpc.check, { service: SERVICE }), { status: Serving.NOT_SERVING });
  const late = watch(viewer, rpc.watch, { service: '' });
  assert.deepEqual(await late.next(), { status: Serving.NOT_SERVING });
  await watched.cancel();
  await late.cancel();
});

test('a service that does not exist is NOT_FOUND, and SERVICE_UNKNOWN to a watch that goes on', async (t) => {
  const admin = await startAdmin(t);
  const viewer = await admin.as('viewer');
  assert.equal((await refused(ask(viewer, rpc.check, { service: 'nope' }))).code, Code.NOT_FOUND);
  const watched = watch(viewer, rpc.watch, { service: 'nope' });
  assert.deepEqual(await watched.next(), { status: Serving.SERVICE_UNKNOWN });
  await watched.cancel();
});
