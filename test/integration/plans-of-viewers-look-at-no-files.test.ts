import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { AdminServiceClient, AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { configWith } from '../support/apply-config.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, grpcClient } from '../support/daemon-clients.ts';

/** A daemon whose roles are the organizational units, and what each role's plan of other TLS files is. */
async function start(t: TestContext) {
  const daemon = await startDaemon(t, { config: { workers: 1, targetGroups: [{ name: 'web', upstreamServers: [] }] } });
  const planAs = async (role: string) => {
    const client = grpcClient(t, AdminServiceClient, daemon, { as: await daemon.ca.issue({ cn: 'x', ou: role }) });
    return (config: string) => ask(client, rpc.planConfig, { config });
  };
  const served = { certificate: 'certs/loadbalancer.crt', privateKey: 'certs/loadbalancer.key', caCert: 'certs/rootCA.pem' };
  const listener = (caCert: string) =>
    configWith(daemon, { tlsParams: { ...served, caCert }, admin: { address: '127.0.0.1:0', tls: served } });
  const group = (ca: string) => configWith(daemon, { targetGroups: [{ name: 'web', upstreamServers: [], upstreamTls: { ca } }] });
  return { daemon, planAs, listener, group };
}

test('a pipe in the place of a CA holds nobody up, and a viewer is told that nobody looked', async (t) => {
  const { daemon, planAs, listener, group } = await start(t);
  const [viewer, admin] = [await planAs('viewer'), await planAs('admin')];
  const pipe = path.join(daemon.folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const [config, who, field] of [
    [listener(pipe), 'listener "default"', 'listeners.default.tls.ca_cert'],
    [group(pipe), 'target group "web"', 'upstream_tls.ca'],
  ] as const) {
    const { warnings } = await viewer(config);
    const unread = warnings.filter((warning) => warning.startsWith(`TLS files were not looked at, since your role may not apply: `));
    assert.equal(unread.length, 1, warnings.join('\n'));
    assert.match(unread[0] ?? '', new RegExp(`: those of ${who}`));
    const { code, fields, message } = await refused(admin(config));
    assert.deepEqual([code, fields], [Code.INVALID_ARGUMENT, [field]]);
    assert.match(message, /pipe: this is a pipe; expected a regular file/);
    const applied = refused(ask(adminOf(t, daemon), rpc.applyConfig, { ...APPLY, config }));
    assert.match((await applied).message, /this is a pipe; expected a regular file/);
  }
});

const APPLY = { mode: 'CLOSE_MODE_UNSPECIFIED', deadline: undefined, expectedRevision: 0n, requestId: '' } as const;

for (const role of ['viewer', 'operator']) {
  test(`by a plan the role ${role} cannot tell a file that is there from one that is not`, async (t) => {
    const { daemon, planAs, listener, group } = await start(t);
    const plan = await planAs(role);
    const [there, missing] = [path.join(daemon.folder, 'there.pem'), path.join(daemon.folder, 'gone!.pem')];
    await writeFile(there, 'secret');
    for (const config of [listener, group]) {
      const [one, other] = [await plan(config(there)), await plan(config(missing))];
      assert.notDeepEqual(one.differences, []);
      const namedAlike = JSON.stringify(other.differences).replaceAll('gone!.pem', 'there.pem');
      assert.equal(JSON.stringify(one.differences), namedAlike);
      assert.deepEqual(one.warnings, other.warnings);
    }
  });
}

test('a viewer is not told of files where the plan names those in use', async (t) => {
  const { daemon, planAs } = await start(t);
  const viewer = await planAs('viewer');
  const second = configWith(daemon, { listeners: [{ name: 'second', address: '127.0.0.1:0' }] });
  const { differences, warnings } = await viewer(second);
  assert.deepEqual(
    differences.map((each) => each.path),
    ['listeners/second'],
  );
  assert.ok(!warnings.some((warning) => warning.includes('TLS files')), warnings.join('\n'));
});
