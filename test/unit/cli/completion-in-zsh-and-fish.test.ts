import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fishScript } from '../../../cli/completion/fish.ts';
import { zshScript } from '../../../cli/completion/zsh.ts';
import { commandLine, missing, offered, type Shell } from '../../support/shell-completion.ts';

const SCRIPTS: Readonly<Record<Shell, string>> = { zsh: zshScript(commandLine), fish: fishScript(commandLine) };

/** What stands before the cursor, and what is offered; fish offers the whole of a word, zsh what follows the equals sign or the folder. */
const OFFERS: readonly (readonly [line: string, words: readonly string[], inFish?: readonly string[]])[] = [
  ['lbctl add-', ['add-client', 'add-target-group', 'add-upstream-server']],
  ['lbctl --output json roll', ['rollback']],
  ['lbctl context ', ['list', 'set', 'use']],
  ['lbctl context use ', ['asked:__complete,contexts,--,context,use']],
  ['lbctl set-upstream-server --m', ['--max-connections', '--mode']],
  ['lbctl set-upstream-server --mode ', ['drain', 'maintenance', 'ready']],
  ['lbctl list-clients -o j', ['json']],
  ['lbctl list-clients --output=y', ['yaml'], ['--output=yaml']],
  ['lbctl list-upstream-servers --target-group=w', ['web'], ['--target-group=web']],
  ['lbctl remove-target-group --name d', ['db']],
  ['lbctl get-failed-connections --server 127.0.0.1:8', ['127.0.0.1:8081']],
  ['lbctl remove-client --addr lb:9000 --client ', ['asked:__complete,clients,--,remove-client,--addr,lb:9000,--client']],
  ['lbctl rollback --to ', ['asked:__complete,revisions,--,rollback,--to']],
  ['lbctl explain --listener ', ['asked:__complete,listeners,--,explain,--listener']],
  ['lbctl watch-connections --reason ', ['asked:__complete,reasons,--,watch-connections,--reason']],
  ['lbctl add-client --client ', []],
  ['lbctl completion ', ['bash', 'fish', 'zsh']],
  [`lbctl plan -f ${import.meta.filename.slice(0, -3)}`, ['completion-in-zsh-and-fish.test.ts'], [import.meta.filename]],
];

for (const shell of ['zsh', 'fish'] as const) {
  test(`${shell} completes commands, options, words, files, and the names that the server knows`, { skip: missing(shell) }, async (t) => {
    for (const [line, words, inFish = words] of OFFERS) {
      const found = await offered(t, shell, SCRIPTS[shell], line);
      assert.deepEqual(found.toSorted(), shell === 'zsh' ? words : inFish, line);
    }
  });
}
