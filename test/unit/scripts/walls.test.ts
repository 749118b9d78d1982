import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { findViolations, readTree } from '../../../scripts/walls.ts';

const breaches = (files: Readonly<Record<string, string>>) =>
  findViolations(new Map(Object.entries(files))).map(({ file, line, what, reason }) => {
    assert.ok(reason.length > 20, 'every wall says why it stands');
    return `${file}:${line}: ${what}`;
  });

const importing = (target: string) => `import type { X } from '${target}';\n`;

const FORBIDDEN: readonly (readonly [file: string, specifier: string])[] = [
  ['src/domain/state.ts', '../shared/memory/layout.ts'],
  ['src/domain/state.ts', '../config/config.ts'],
  ['src/shared/messages.ts', '../controlplane/slots.ts'],
  ['src/dataplane/connection.ts', '../controlplane/authority.ts'],
  ['src/dataplane/connection.ts', '../gen/lb/admin/v1/admin.ts'],
  ['src/controlplane/workers.ts', '../dataplane/worker.ts'],
  ['src/controlplane/store/sqlite.ts', '../../dataplane/worker.ts'],
  ['src/controlplane/stats.ts', '../gen/lb/admin/v1/admin.ts'],
  ['src/config/config.ts', '../controlplane/authority.ts'],
  ['src/admin/server.ts', '../dataplane/worker.ts'],
  ['src/admin/server.ts', '../config/config.ts'],
  ['src/main.ts', './gen/lb/admin/v1/admin.ts'],
  ['src/main.ts', '../cli/main.ts'],
  ['src/index.ts', './admin/server.ts'],
  ['src/index.ts', './main.ts'],
  ['src/load-balancer.ts', './daemon.ts'],
  ['src/daemon.ts', './dataplane/connection.ts'],
  ['src/admin-client.ts', './controlplane/stats.ts'],
  ['src/quickstart/quickstart.ts', '../main.ts'],
  ['src/quickstart/quickstart.ts', '../controlplane/authority.ts'],
  ['cli/main.ts', '../src/domain/model.ts'],
  ['cli/commands/list.ts', '../../src/admin/convert.ts'],
  ['certs/issuing.ts', '../src/domain/model.ts'],
  ['src/dataplane/tls.ts', '../../test/support/certificates.ts'],
];

for (const [file, specifier] of FORBIDDEN) {
  test(`${file} may not import ${specifier}`, () => {
    const [breach, ...others] = breaches({ [file]: `\n${importing(specifier)}` });
    assert.match(breach ?? '', new RegExp(`^${file}:2: .* imports `));
    assert.deepEqual(others, []);
  });
}

const ALLOWED: readonly (readonly [file: string, specifier: string])[] = [
  ['src/domain/state.ts', './model.ts'],
  ['src/shared/messages.ts', '../domain/model.ts'],
  ['src/dataplane/connection.ts', '../shared/memory/layout.ts'],
  ['src/dataplane/connection.ts', 'node:net'],
  ['src/controlplane/store/sqlite.ts', '../../domain/state.ts'],
  ['src/admin/convert.ts', '../gen/lb/admin/v1/admin.ts'],
  ['src/admin-client.ts', './gen/lb/admin/v1/admin.ts'],
  ['src/daemon.ts', './admin/server.ts'],
  ['src/main.ts', './quickstart/quickstart.ts'],
  ['src/index.ts', './controlplane/authority.ts'],
  ['cli/commands/list.ts', '../../src/gen/lb/admin/v1/admin.ts'],
  ['cli/main.ts', 'commander'],
  ['src/quickstart/quickstart.ts', '../../certs/development-ca.ts'],
];

for (const [file, specifier] of ALLOWED) {
  test(`${file} may import ${specifier}`, () => assert.deepEqual(breaches({ [file]: importing(specifier) }), []));
}

test('the domain imports no package and no node: module', () => {
  assert.deepEqual(breaches({ 'src/domain/a.ts': "import { hash } from 'node:crypto';\nimport 'zod';\n" }), [
    'src/domain/a.ts:1: the domain imports node:crypto',
    'src/domain/a.ts:2: the domain imports zod',
  ]);
});

test('the domain has no clock, no chance and no timer; a date that is given is welcome', () => {
  for (const word of ['Date.now', 'Math.random', 'setTimeout', 'performance.now', 'console.log', 'process.env']) {
    assert.ok(breaches({ 'src/domain/a.ts': `const x = ${word}();` }).includes(`src/domain/a.ts:1: says ${word}`), word);
  }
  assert.deepEqual(breaches({ 'src/domain/a.ts': 'const now = new Date();' }), ['src/domain/a.ts:1: says new Date()']);
  assert.deepEqual(breaches({ 'src/domain/a.ts': "const x = new Date(nowMs); // not Date.now()\nconst y = 'Math.random()';" }), []);
  assert.deepEqual(breaches({ 'src/controlplane/a.ts': 'const x = Date.now();' }), []);
});

test('shared memory is spoken of in one folder', () => {
  assert.deepEqual(breaches({ 'src/shared/memory-of-all.ts': 'Atomics' }), ['src/shared/memory-of-all.ts:1: says Atomics']);
  assert.deepEqual(breaches({ 'src/shared/memory/cell-lock.ts': 'Atomics.load(new SharedArrayBuffer(8));' }), []);
  assert.deepEqual(breaches({ 'src/controlplane/slots.ts': '// an Atomics comment\nlet a: SharedArrayBuffer;\nAtomics.load(a);' }), [
    'src/controlplane/slots.ts:2: says SharedArrayBuffer',
    'src/controlplane/slots.ts:3: says Atomics',
  ]);
});

test('only the entries of programs read the environment and end the process', () => {
  const text = 'if (process.env.HOME) process.exit(1);';
  for (const file of ['src/main.ts', 'cli/main.ts', 'src/quickstart/sample-client.ts'])
    assert.deepEqual(breaches({ [file]: text }), [], file);
  for (const file of ['src/index.ts', 'cli/render.ts', 'src/admin/server.ts', 'src/quickstart/quickstart.ts']) {
    assert.deepEqual(breaches({ [file]: text }), [`${file}:1: says process.env`, `${file}:1: says process.exit`], file);
  }
});

test('only the authority changes state', () => {
  const text = "import { apply, type Command } from '../domain/state.ts';\nstore.compareAndSet(1);\n";
  assert.deepEqual(breaches({ 'src/controlplane/authority.ts': text }), []);
  assert.deepEqual(breaches({ 'src/controlplane/stats.ts': text }), [
    'src/controlplane/stats.ts:1: src/controlplane/stats.ts imports apply',
    'src/controlplane/stats.ts:2: says .compareAndSet(',
  ]);
});

test('versions are exact', () => {
  const manifest = {
    dependencies: { a: '1.2.3', b: '^1.2.3' },
    devDependencies: { c: 'latest' },
    optionalDependencies: { d: '1.0.0-rc.1' },
  };
  assert.deepEqual(breaches({ 'package.json': JSON.stringify(manifest, null, 2) }), [
    'package.json:4: b is "^1.2.3"',
    'package.json:7: c is "latest"',
  ]);
});

test('the lock names no registry and leaves out no platform', () => {
  const lock = {
    packages: {
      '': { optionalDependencies: { a: '1.0.0' } },
      'node_modules/a': { resolved: 'https://registry.example/a.tgz', optionalDependencies: { 'a-linux': '1.0.0', 'a-darwin': '1.0.0' } },
      'node_modules/a/node_modules/a-linux': {},
    },
  };
  assert.deepEqual(breaches({ 'package-lock.json': JSON.stringify(lock, null, 2) }), [
    'package-lock.json:8: has no entry for a-darwin, an optional dependency of node_modules/a',
    'package-lock.json:9: names a registry ("resolved")',
  ]);
});

test('the tree of this checkout is read whole', () => {
  const tree = readTree(path.join(import.meta.dirname, '../../..'));
  for (const file of ['src/domain/model.ts', 'certs/issuing.ts', 'package.json', 'package-lock.json']) assert.ok(tree.has(file), file);
});
