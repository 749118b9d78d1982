import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startAdmin } from '../support/admin-server.ts';
import { lbctl } from '../support/lbctl.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

test('a context that was set reaches its server from any folder, and can be chosen, changed and overridden', async (t) => {
  const admin = await startAdmin(t);
  const folder = await temporaryFolder(t);
  await admin.ca.writeTo(folder, { operator: await admin.certificate('operator') });
  const env = { HOME: await temporaryFolder(t) };
  const run = (...args: readonly string[]) => lbctl(args, { env });

  const flags = ['--addr', admin.target, '--ca', 'rootCA.pem', '--cert', 'operator.crt', '--key', 'operator.key'];
  const set = await lbctl(['context', 'set', 'lab', ...flags], { env, cwd: folder });
  assert.equal(set.stdout, `wrote context lab to ${env.HOME}/.config/lbctl/config.yaml\n`);
  assert.equal((await run('get-log-level')).stdout, 'info\n');

  assert.equal((await run('context', 'set', 'nowhere', '--addr', '127.0.0.1:1')).code, 0);
  assert.equal((await run('context', 'use', 'nowhere')).stdout, 'the current context is nowhere\n');
  assert.match((await run('get-log-level')).stderr, /no client certificate/);
  assert.equal((await run('get-log-level', '--context', 'lab')).stdout, 'info\n');
  assert.match((await run('context', 'list')).stdout, /^ +NAME .*\n +lab .*\n\* +nowhere +127\.0\.0\.1:1 +- +- +- +-\n$/);
  assert.equal(JSON.parse((await run('context', 'list', '-o', 'json')).stdout).contexts.lab.addr, admin.target);

  const missing = await run('context', 'use', 'mars');
  assert.match(missing.stderr, /^lbctl: there is no context mars in .*; lbctl context list shows them\n$/);
  assert.equal(missing.code, 2);
});
