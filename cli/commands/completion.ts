import { Argument, type Command } from 'commander';
import { bashScript } from '../completion/bash.ts';
import { fishScript } from '../completion/fish.ts';
import { liveWords } from '../completion/live.ts';
import { type CommandLine, commandLineOf, LIVE_KINDS, type LiveKind } from '../completion/words.ts';
import { zshScript } from '../completion/zsh.ts';
import type { Io } from '../io.ts';
import { example } from './session.ts';

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } satisfies Record<string, (commandLine: CommandLine) => string>;
type Shell = keyof typeof SCRIPTS;

export function addCompletionCommands(program: Command, io: Io): void {
  const command = program
    .command('completion')
    .description('the completion script for a shell; it also completes group, server, client and context names')
    .addArgument(new Argument('<shell>', 'your shell').choices(Object.keys(SCRIPTS)));
  command.action((shell: Shell) => {
    io.stdout.write(SCRIPTS[shell](commandLineOf(program)));
  });
  example(command, 'completion bash', 'completion zsh', 'completion fish');
  command.addHelpText(
    'after',
    `
To load it now and in every new shell:
  bash  echo 'source <(lbctl completion bash)' >> ~/.bashrc
  zsh   echo 'source <(lbctl completion zsh)' >> ~/.zshrc (after compinit)
  fish  lbctl completion fish > ~/.config/fish/completions/lbctl.fish`,
  );

  program
    .command('__complete', { hidden: true })
    .description('names for the completion scripts, one on a line; nothing when the server does not answer')
    .addArgument(new Argument('<kind>').choices(LIVE_KINDS))
    .argument('[typed...]')
    .action(async (kind: LiveKind, typed: readonly string[]) => {
      // A shell that completes has no place for an error.
      const words = await liveWords(io, kind, typed).catch(() => []);
      io.stdout.write(words.map((word) => `${word}\n`).join(''));
    });
}
