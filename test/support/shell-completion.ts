/** What shells complete: the commands of lbctl, and what zsh and fish themselves offer at the end of a line with its script loaded. */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { commandLineOf } from '../../cli/completion/words.ts';
import { createProgram } from '../../cli/program.ts';
import { temporaryFolder } from './temp-dir.ts';

const run = promisify(execFile);

/** Every command and option of lbctl. */
export const commandLine = commandLineOf(
  createProgram({
    stdout: { write: () => true },
    stderr: { write: () => true },
    env: {},
    homeFolder: '/nonexistent',
    nowMs: () => 0,
    readStdin: async () => '',
    onInterrupt: () => () => undefined,
    terminal: undefined,
  }),
);

export type Shell = 'zsh' | 'fish';

/** Why a test of this shell cannot run here; false: it can. */
export function missing(shell: Shell): string | false {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.some((folder) => isProgram(path.join(folder, shell))) ? false : `${shell} is not installed here`;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The words that the tab key offers after `line`, in the order of the shell. lbctl is a function that answers for the server. */
export async function offered(t: Pick<TestContext, 'after'>, shell: Shell, script: string, line: string): Promise<readonly string[]> {
  const folder = await temporaryFolder(t);
  const file = (name: string) => path.join(folder, name);
  await writeFile(file('lbctl'), script);
  await writeFile(file('session'), SESSION[shell].replaceAll('SCRIPT', file('lbctl')));
  await writeFile(file('ask'), ASK[shell]);
  const options = { env: { PATH: process.env['PATH'], HOME: folder, ZDOTDIR: folder }, timeout: 120_000 };
  const command = shell === 'zsh' ? ['-f', file('ask'), file('session'), line] : ['--no-config', file('ask'), file('session'), line];
  const { stdout } = await run(shell, command, options);
  // fish puts the description after a tab.
  return stdout.split('\n').flatMap((each) => (each === '' ? [] : [each.split('\t')[0] ?? '']));
}

const SESSION: Readonly<Record<Shell, string>> = {
  // compadd is what every match of zsh's completion goes through.
  zsh: `
PROMPT=
autoload -U compinit; compinit -u -D
bindkey '^M' undefined; bindkey '^J' undefined; bindkey '^I' complete-word
null-line() { print -r - $'\\0' }
compprefuncs=(null-line)
comppostfuncs=(null-line exit)
zstyle ':completion:*' list-grouped false
zstyle ':completion:*' insert-tab false
zstyle ':completion:*' list-separator ''
lbctl() { case "$2" in (groups) echo web; echo db ;; (servers) echo 127.0.0.1:8081; echo 127.0.0.1:9000 ;; (*) echo "asked:\${(j:,:)@}" ;; esac; }
source SCRIPT
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return $?; fi
  typeset -a __hits
  builtin compadd -A __hits "$@"
  local ret=$?
  print -rl -- $__hits
  builtin compadd "$@"
}
print ready
`,
  fish: `
function lbctl
  switch $argv[2]
    case groups; echo web; echo db
    case servers; echo 127.0.0.1:8081; echo 127.0.0.1:9000
    case '*'; echo asked:(string join -- , $argv)
  end
end
source SCRIPT
`,
};

const ASK: Readonly<Record<Shell, string>> = {
  // A terminal of its own: zsh completes nowhere else.
  zsh: `
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "source $1"
repeat 20; do zpty -r inner line; [[ $line == *ready* ]] && break; done
zpty -w -n inner "$2"$'\\t'
integer marks=0
while zpty -r inner; do :; done | while IFS= read -r line; do
  if [[ $line == *$'\\0\\r' ]]; then (( marks++ )) && exit 0 || continue; fi
  (( marks )) && print -r -- \${line%$'\\r'*}
done
exit 2
`,
  fish: `
source $argv[1]
complete -C "$argv[2]"
`,
};
