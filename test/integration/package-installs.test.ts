import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startQuickstart } from '../support/quickstart.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const run = promisify(execFile);
const ROOT = path.join(import.meta.dirname, '../..');

/** This process's environment without what `npm test` says about the checkout: npm takes it for its own project otherwise. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_(?:package|lifecycle|config_local)_|^INIT_CWD$/.test(name)),
);

const folder = await temporaryFolder({ after });
/** An empty folder into which the packed package is installed, as anybody would. */
const project = path.join(folder, 'project');
const inProject = (program: string, ...args: readonly string[]) => run(program, args, { cwd: project, env });
const bin = (name: string) => path.join(project, 'node_modules/.bin', name);

before(
  async () => {
    await run('npm', ['pack', '--pack-destination', folder], { cwd: ROOT, env });
    const [tarball, ...others] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
    assert.ok(tarball !== undefined && others.length === 0);
    await mkdir(project);
    await writeFile(path.join(project, 'package.json'), '{"private":true,"type":"module"}');
    await inProject('npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', path.join(folder, tarball));
  },
  { timeout: 300_000 },
);

test('the programs run from an empty folder', async () => {
  const { stdout: schema } = await inProject(bin('lbd'), 'schema');
  assert.equal(JSON.parse(schema).type, 'object');
  const { stdout: help } = await inProject(bin('lbctl'), '--help');
  assert.match(help, /^Usage: lbctl /);
  await assert.rejects(inProject(bin('lbd'), 'check', '--config', 'missing.yaml'), { code: 1 });
});

test('a whole balancer runs, and the printed commands reach it', async (t) => {
  const quickstart = await startQuickstart(t, [bin('lbd')], project);
  const command = (heading: RegExp) => [...quickstart.commands].find(([title]) => heading.test(title))?.[1] ?? 'false';
  const { stdout: answer } = await inProject('sh', '-c', command(/^One request as client A/));
  assert.match(answer, /^server 127\.0\.0\.1:\d+, call 1\n$/);
  const { stdout: servers } = await inProject('sh', '-c', command(/^The servers and their health/));
  assert.match(servers, /FrontEndService +127\.0\.0\.1:\d+ +healthy/);
  assert.equal(await quickstart.stop(), 0);
});

test('the configuration of the sample checks out, once its certificates are there', async (t) => {
  await (await startQuickstart(t, [bin('lbd')], project)).stop();
  const config = `
listenAddress: "127.0.0.1:0"
tlsParams: { certificate: portcullis-certs/loadbalancer.crt, privateKey: portcullis-certs/loadbalancer.key, caCert: portcullis-certs/rootCA.pem }
targetGroups: [{ name: FrontEndService, upstreamServers: ["127.0.0.1:8081"] }]
clients: [{ clientId: clientA.bardomain.com, allowedTargetGroup: FrontEndService }]
`;
  await writeFile(path.join(project, 'lb.yaml'), config);
  assert.match((await inProject(bin('lbd'), 'check', '--config', 'lb.yaml')).stdout, /ok/);
});

test('the exports can be imported: the library, the admin client, the contract', async () => {
  const program = `
    import { createLoadBalancer } from 'portcullis';
    import { AdminServiceClient } from 'portcullis/admin';
    import { existsSync } from 'node:fs';
    import { fileURLToPath } from 'node:url';
    const proto = fileURLToPath(import.meta.resolve('portcullis/proto/lb/admin/v1/admin.proto'));
    console.log(typeof createLoadBalancer, typeof AdminServiceClient, existsSync(proto));
  `;
  await writeFile(path.join(project, 'imports.js'), program);
  assert.equal((await inProject(process.execPath, 'imports.js')).stdout, 'function function true\n');
});

test('the page of the dashboard is in it', async () => {
  const program = `
    import { Dashboard } from './node_modules/portcullis/dist/src/metrics/dashboard.js';
    const dashboard = new Dashboard({});
    for (const path of ['/', '/dashboard.js', '/plots.js', '/recent.js', '/tables.js', '/dashboard.css']) console.log(path, (await dashboard.read(path)).body.length > 100);
  `;
  await writeFile(path.join(project, 'dashboard.js'), program);
  const { stdout } = await inProject(process.execPath, 'dashboard.js');
  assert.equal(stdout, '/ true\n/dashboard.js true\n/plots.js true\n/recent.js true\n/tables.js true\n/dashboard.css true\n');
});

test('the types of the exports hold under strict checking', async () => {
  await writeFile(
    path.join(project, 'types.ts'),
    "export { createLoadBalancer } from 'portcullis';\nexport { AdminServiceClient } from 'portcullis/admin';\n",
  );
  const types = ['--types', 'node', '--typeRoots', path.join(ROOT, 'node_modules/@types')];
  await inProject(
    path.join(ROOT, 'node_modules/.bin/tsc'),
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
    ...types,
    'types.ts',
  );
});
