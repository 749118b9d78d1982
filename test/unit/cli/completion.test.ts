import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { bashScript } from '../../../cli/completion/bash.ts';
import { fishScript } from '../../../cli/completion/fish.ts';
import { zshScript } from '../../../cli/completion/zsh.ts';
import { commandLine } from '../../support/shell-completion.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const run = promisify(execFile);

/** What bash offers for words as it splits them itself: colons and equals signs are words. The server is a function that answers. */
async function bash(t: TestContext, words: readonly string[]): Promise<readonly string[]> {
  const script = path.join(await temporaryFolder(t), 'lbctl.bash');
  await writeFile(script, bashScript(commandLine));
  const ask = `
    lbctl() { case "$2" in groups) echo web; echo db ;; servers) echo 127.0.0.1:8081; echo 127.0.0.1:9000 ;; clients) echo "asked:$*" ;; esac; }
    source "$0"
    COMP_WORDS=(lbctl "$@"); COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
    _lbctl
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '-c', ask, script, ...words]);
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash completes commands, also after global options', async (t) => {
  assert.deepEqual(await bash(t, ['add-']), ['add-target-group', 'add-upstream-server', 'add-client']);
  assert.deepEqual(await bash(t, ['--output', 'json', 'roll']), ['rollback']);
  assert.deepEqual(await bash(t, ['context', '']), ['list', 'use', 'set']);
  assert.equal((await bash(t, [''])).includes('__complete'), false);
});

test('bash completes the options of a command and their words', async (t) => {
  assert.deepEqual(await bash(t, ['set-upstream-server', '--m']), ['--max-connections', '--mode']);
  assert.deepEqual(await bash(t, ['set-upstream-server', '--mode', '']), ['ready', 'drain', 'maintenance']);
  assert.deepEqual(await bash(t, ['list-clients', '--output', '=', 'y']), ['yaml']);
  assert.deepEqual(await bash(t, ['list-clients', '-o', 'j']), ['json']);
  assert.deepEqual(await bash(t, ['completion', '']), ['bash', 'zsh', 'fish']);
  assert.deepEqual(await bash(t, ['audit', '--method', 'AddU']), ['AddUpstreamServer']);
  assert.deepEqual(await bash(t, ['call', 'WatchS']), ['WatchStats']);
  assert.deepEqual(await bash(t, ['plan', '-f', import.meta.filename.slice(0, -1)]), [import.meta.filename]);
});

test('bash asks the server for names, with what was typed', async (t) => {
  assert.deepEqual(await bash(t, ['list-upstream-servers', '--target-group', '']), ['web', 'db']);
  assert.deepEqual(await bash(t, ['remove-target-group', '--name', 'd']), ['db']);
  assert.deepEqual(await bash(t, ['remove-client', '--addr', 'lb', ':', '9000', '--client', '']), [
    'asked:__complete',
    'clients',
    '--',
    'remove-client',
    '--addr',
    'lb:9000',
    '--client',
  ]);
});

test('bash completes host:port although it splits words at the colon', async (t) => {
  const server = ['get-failed-connections', '--server'];
  assert.deepEqual(await bash(t, [...server, '']), ['127.0.0.1:8081', '127.0.0.1:9000']);
  assert.deepEqual(await bash(t, [...server, '127.0.0.1', ':', '8']), ['8081']);
  assert.deepEqual(await bash(t, [...server, '127.0.0.1', ':']), ['8081', '9000']);
});

test('no name is offered for what is only now being made', async (t) => {
  assert.deepEqual(await bash(t, ['add-client', '--client', '']), []);
  assert.deepEqual(await bash(t, ['add-upstream-server', '--target-group', 'web', '--server', '']), []);
});

test('every script knows every command and every option', () => {
  for (const script of [bashScript(commandLine), zshScript(commandLine), fishScript(commandLine)]) {
    for (const { name, options } of commandLine.commands) {
      for (const word of name.split(' ')) assert.ok(script.includes(word), word);
      for (const flag of options.flatMap(({ flags }) => flags)) assert.ok(script.includes(flag.replace(/^--?/, '')), flag);
    }
  }
});

/** Undefined where this machine lacks the shell. */
async function checkSyntax(t: TestContext, shell: string, script: string): Promise<void> {
  const file = path.join(await temporaryFolder(t), `lbctl.${shell}`);
  await writeFile(file, script);
  try {
    await run(shell, ['-n', file]);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') t.skip(`there is no ${shell} here`);
    else throw error;
  }
}

test('zsh takes its script', (t) => checkSyntax(t, 'zsh', zshScript(commandLine)));
test('fish takes its script', (t) => checkSyntax(t, 'fish', fishScript(commandLine)));
test('bash takes its script', (t) => checkSyntax(t, 'bash', bashScript(commandLine)));
