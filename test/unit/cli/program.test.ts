import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from 'commander';
import { createProgram, runProgram } from '../../../cli/program.ts';
import { AdminServiceService } from '../../../src/gen/lb/admin/v1/admin.ts';

function terminal() {
  const written = { stdout: '', stderr: '' };
  const io = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
    env: {},
    homeFolder: '/nonexistent',
    nowMs: () => 0,
    readStdin: async () => '',
    onInterrupt: () => () => {},
    terminal: undefined,
  };
  return { io, written };
}

async function run(...args: readonly string[]) {
  const { io, written } = terminal();
  return { code: await runProgram(args, io), ...written };
}

/** Where the command is not the name of the RPC. */
const COMMAND_OF: Readonly<Record<string, string>> = {
  planConfig: 'plan',
  applyConfig: 'apply',
  rollbackConfig: 'rollback',
  listRevisions: 'history',
  exportConfig: 'export',
  listAuditEntries: 'audit',
  listCertificates: 'certificates',
  reloadCertificates: 'certificates',
  revokeCertificate: 'revoke',
};

test('every RPC of the contract has a command', () => {
  const commands = new Set(createProgram(terminal().io).commands.map((command) => command.name()));
  const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  assert.deepEqual(
    Object.keys(AdminServiceService)
      .map((name) => COMMAND_OF[name] ?? kebab(name))
      .filter((name) => !commands.has(name)),
    [],
  );
});

test('the help of every command ends with an example of itself', async () => {
  const visible = (command: Command) => command.commands.filter((sub) => command.createHelp().visibleCommands(command).includes(sub));
  const leaves = (command: Command, before: readonly string[]): readonly (readonly string[])[] =>
    command.commands.length === 0 ? [before] : visible(command).flatMap((sub) => leaves(sub, [...before, sub.name()]));
  for (const names of leaves(createProgram(terminal().io), [])) {
    const { code, stdout } = await run(...names, '--help');
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`\\nExamples?:\\n  lbctl ${names.join(' ')}`), names.join(' '));
  }
});

test('the examples in the help are command lines that lbctl takes', async () => {
  const program = createProgram(terminal().io);
  const asksTheServer = (command: Command) => command.commands.length === 0 && !command.name().includes('complet');
  for (const command of program.commands.filter(asksTheServer)) {
    const { stdout } = await run(command.name(), '--help');
    const examples = stdout.split(/\nExamples?:\n/)[1] ?? '';
    for (const line of examples
      .trim()
      .replaceAll(/ > \S+$/gm, '')
      .split('\n')) {
      const args = [...line.trim().matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '').slice(1);
      const { code, stderr } = await run(...args);
      // It gets as far as to miss a certificate, or the file of the example.
      assert.match(stderr, /no client certificate|there is no such file/, `${line}: ${stderr}`);
      assert.equal(code, 2);
    }
  }
});

const MISUSE: readonly (readonly [readonly string[], RegExp])[] = [
  [[], /no command given; see lbctl --help/],
  [['context'], /no command given; see lbctl context --help/],
  [['ad-client'], /unknown command 'ad-client'.*see lbctl --help/],
  [['list-clients', '--bogus'], /unknown option '--bogus'; see lbctl list-clients --help/],
  [['list-clients', 'extra'], /too many arguments.*see lbctl list-clients --help/],
  [['remove-client'], /required option '--client <id>' not specified; see lbctl remove-client --help/],
  [['--output', 'xml', 'list-clients'], /'xml' is invalid\. Allowed choices are table, json, yaml; see lbctl --help/],
  [['list-clients', '--timeout', '0s'], /expected a duration above 0/],
  [['add-upstream-server', '--target-group', 'g', '--server', '127.0.0.1'], /expected host:port/],
  [['add-upstream-server', '--target-group', 'g', '--server', 'a:1', '--weight', '257'], /expected a whole number from 0 to 256/],
  [['add-client', '--client', 'c', '--target-group', 'g', '--limit', '1000001'], /expected a whole number from 1 to 1000000/],
  [['add-client', '--client', 'c', '--target-group', 'g', '--requests-per-second', '1000001'], /expected a whole number from 1 to 1000000/],
  [['add-target-group', '--name', 'g', '--retries', '11'], /expected a whole number from 0 to 10/],
  [['add-target-group'], /which target group\? give --name/],
  [['remove-target-group', '--name', 'a', '--target-group', 'b'], /--name and --target-group differ/],
  [['add-target-group', '--name', 'g', '--health-path', '/x'], /are for --health-check http/],
  [['add-target-group', '--name', 'g', '--algorithm', 'best'], /expected one of leastConnections/],
  [['add-client', '--client', 'c'], /give --target-group/],
  [['add-client', '--client', 'c', '--target-group', 'g', '--burst', '5'], /give --limit or --requests-per-second too/],
  [['add-client', '--client', 'c', '--target-group', 'g', '--requests-per-second', '5', '--limit', '5'], /give the one or the other/],
  [['update-client', '--client', 'c'], /nothing to change; see lbctl update-client --help/],
  [['update-client', '--client', 'c', '--match-any', '--match-cn', 'x'], /give the one or the others/],
  [['add-target-group', '--name', 'g', '--health-grpc-service', 's'], /are for --health-check grpc; give that too/],
  [['add-target-group', '--name', 'g', '--health-check', 'sendExpect', '--health-send', 'x'], /give --health-expect/],
  [['add-target-group', '--name', 'g', '--health-check', 'sendExpect', '--health-expect', 'a\\q'], /expected \\r, .* where \\q stands/],
  [['add-target-group', '--name', 'g', '--queue-timeout', '1s'], /how many connections may wait\? give --queue-length/],
  [['add-target-group', '--name', 'g', '--agent-interval', '1s'], /where is the agent\? give --agent-port/],
  [['add-target-group', '--name', 'g', '--send-proxy-protocol', 'v3'], /expected one of v1, v2, none/],
  [['add-target-group', '--name', 'g', '--upstream-tls-certificate', '/c'], /give --upstream-tls-key/],
  [['add-target-group', '--name', 'g', '--upstream-tls-key', '/k'], /give --upstream-tls-certificate/],
  [['add-target-group', '--name', 'g', '--no-queue'], /unknown option '--no-queue'/],
  [['add-client', '--client', 'c', '--target-group', 'g', '--bandwidth-up', '5 furlongs'], /expected bytes per second, for example 10MB/],
  [['update-target-group', '--name', 'g'], /nothing to change; see lbctl update-target-group --help/],
  [['set-upstream-server', '--target-group', 'g', '--server', 'a:1'], /nothing to change; give --weight/],
  [['set-upstream-server', '--target-group', 'g', '--server', 'a:1', '--mode', 'off'], /expected one of ready, drain, maintenance/],
  [['remove-client', '--client', 'c', '--deadline', '5s'], /--deadline is for --mode drain/],
  [['revoke'], /which certificate\? give --fingerprint or --certificate/],
  [['revoke', '--fingerprint', 'aa', '--certificate', 'f'], /give the one or the other/],
  [['close-connections'], /which connections\? give --client/],
  [['explain'], /whose connection\? give --certificate/],
  [['explain', '--certificate', 'f', '--cn', 'c'], /give the one or the other/],
  [['plan', '-f', '/nonexistent'], /cannot read \/nonexistent: there is no such file; give the configuration file with -f/],
  [['drift'], /required option '-f, --file <file>' not specified/],
  [['rollback', '--to', 'yesterday'], /expected a revision/],
  [['audit', '--since', 'yesterday'], /expected how long ago, for example 1h, or a time/],
  [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
  [['watch-stats', '--client', 'c', '--server', 'a:1'], /give --client, or --target-group and --server/],
  [['explain', '--cn', 'A', '--cn', 'B'], /--cn is given twice and takes one value; give it once/],
  [['-o', 'json', 'list-clients', '--output', 'yaml'], /--output is given twice/],
  [['plan', '-f', 'a', '--file', 'b'], /--file is given twice/],
  [['update-client', '--client', 'c', '--no-limit', '--limit', '6'], /--no-limit and --limit: give the one or the other/],
  [['set-upstream-server', '--backup', '--no-backup'], /--backup and --no-backup: give the one or the other/],
  [['set-log-level', '--level', 'loud'], /expected one of trace, debug, info/],
  [['call', 'ListClients', '-d', '@/nonexistent'], /cannot read \/nonexistent: there is no such file/],
  [['list-clients'], /no client certificate: give --cert and --key, or set LBCTL_CERT and LBCTL_KEY/],
  [['list-clients', '--key', 'k'], /give --cert/],
  [['list-clients', '--cert', 'c'], /give --key/],
  [
    ['--cert', '/nonexistent', '--key', '/nonexistent', 'list-clients'],
    /cannot read the client certificate \/nonexistent: there is no such file/,
  ],
];

test('bad usage is one line that says what to do, and exit code 2', async () => {
  for (const [args, expected] of MISUSE) {
    const { code, stdout, stderr } = await run(...args);
    assert.match(stderr, expected);
    assert.match(stderr, /^lbctl: [^\n]+\n$/, args.join(' '));
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
  }
});

test('an option that takes several values, and a switch, may stand there again', async () => {
  for (const args of [
    ['add-client', '--client', 'c', '--target-group', 'a', '--target-group', 'b'],
    ['remove-upstream-server', '--target-group', 'a', '--server', 'a:1', '--reset', '--reset'],
  ]) {
    assert.match((await run(...args)).stderr, /no client certificate/);
  }
});

test('an argument with control characters is echoed harmlessly', async () => {
  const { stderr } = await run('\u001b[2J');
  assert.equal(stderr.includes('\u001b'), false);
});

test('--help and --version are no errors', async () => {
  assert.equal((await run('--help')).code, 0);
  const { code, stdout, stderr } = await run('--version');
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^\d+\.\d+\.\d+/);
});
