import assert from 'node:assert/strict';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { contextFilePath, readContextFile, writeContextFile } from '../../../cli/contexts.ts';
import { type GlobalOptions, resolveSettings } from '../../../cli/settings.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const NO_FLAGS: GlobalOptions = { timeout: 10_000, output: 'table' };

async function home(t: TestContext, config?: string): Promise<{ readonly homeFolder: string; readonly filePath: string }> {
  const homeFolder = await temporaryFolder(t);
  const filePath = path.join(homeFolder, '.config', 'lbctl', 'config.yaml');
  if (config !== undefined) {
    await mkdir(path.dirname(filePath), { recursive: true });
    await writeFile(filePath, config);
  }
  return { homeFolder, filePath };
}

const CONFIG = `
currentContext: lab
contexts:
  lab: {addr: "lab:9000", ca: lab.pem, serverName: lab.example}
  production: {addr: "production:9000", cert: /etc/op.crt}
`;

test('a flag goes before the environment, that before the context, that before the default', async (t) => {
  const { homeFolder, filePath } = await home(t, CONFIG);
  const addr = (flags: Partial<GlobalOptions>, env: Record<string, string>) =>
    resolveSettings({ homeFolder, env }, { ...NO_FLAGS, ...flags }).addr;
  assert.equal(addr({ addr: 'flag:1' }, { LBCTL_ADDR: 'env:1' }), 'flag:1');
  assert.equal(addr({}, { LBCTL_ADDR: 'env:1' }), 'env:1');
  assert.equal(addr({}, { LBCTL_ADDR: '' }), 'lab:9000');
  assert.equal(addr({ context: 'production' }, {}), 'production:9000');
  const settings = resolveSettings({ homeFolder, env: { LBCTL_KEY: 'env.key' } }, NO_FLAGS);
  assert.equal(settings.ca, path.join(path.dirname(filePath), 'lab.pem'), 'relative to the file that names it');
  assert.equal(settings.serverName, 'lab.example');
  assert.equal(settings.key, 'env.key');
});

test('without any of them it is the address that lbd listens on by default', async (t) => {
  const { homeFolder } = await home(t);
  assert.equal(resolveSettings({ homeFolder, env: {} }, NO_FLAGS).addr, '127.0.0.1:9000');
});

test('says where a bad value comes from', async (t) => {
  const { homeFolder, filePath } = await home(t, CONFIG);
  assert.throws(
    () => resolveSettings({ homeFolder, env: { LBCTL_ADDR: 'nonsense' } }, NO_FLAGS),
    /^CliError: LBCTL_ADDR is "nonsense"; expected host:port/,
  );
  assert.throws(() => resolveSettings({ homeFolder, env: {} }, { ...NO_FLAGS, context: 'mars' }), /there is no context mars/);
  for (const [broken, expected] of [
    ['contexts: [', /is not YAML/],
    ['contexts: [1]', /contexts: expected a mapping/],
    ['contexts: {a: {host: x}}', /contexts\.a\.host: expected one of addr/],
    ['contexts: {a: {addr: 5}}', /contexts\.a\.addr: expected text/],
    ['currentContext: gone', /currentContext in .* is gone, which is not there/],
  ] as const) {
    await writeFile(filePath, broken);
    assert.throws(() => resolveSettings({ homeFolder, env: {} }, NO_FLAGS), expected);
  }
});

test('what was written is read again, and only its owner can', async (t) => {
  const { homeFolder, filePath } = await home(t);
  const written = { currentContext: 'a', contexts: new Map([['a', { addr: 'a:1', ca: '/ca.pem' }]]) };
  assert.equal(contextFilePath({ homeFolder, env: {} }), filePath);
  writeContextFile(filePath, written);
  assert.deepEqual(readContextFile(filePath), written);
  assert.equal((await stat(filePath)).mode & 0o777, 0o600);
});

test('XDG_CONFIG_HOME moves the contexts', () => {
  assert.equal(contextFilePath({ homeFolder: '/home/op', env: { XDG_CONFIG_HOME: '/etc/op' } }), '/etc/op/lbctl/config.yaml');
  assert.equal(contextFilePath({ homeFolder: '/home/op', env: { XDG_CONFIG_HOME: 'relative' } }), '/home/op/.config/lbctl/config.yaml');
});
