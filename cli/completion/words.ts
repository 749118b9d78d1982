/** The command line as data for the completion of the shells: every command with its options, and what each may be followed by. */
import type { Argument, Command, Option } from 'commander';
import { AdminServiceService } from '../../src/gen/lb/admin/v1/admin.ts';

/** Values that only the server or the context file knows. */
export const LIVE_KINDS = ['groups', 'servers', 'clients', 'listeners', 'reasons', 'revisions', 'contexts'] as const;
export type LiveKind = (typeof LIVE_KINDS)[number];

export type Value =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'live'; readonly of: LiveKind }
  | { readonly kind: 'file' }
  | { readonly kind: 'text' };

export interface CompletedOption {
  /** `--output`, and `-o` where there is one. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Undefined for a switch. */
  readonly value: Value | undefined;
}

export interface CompletedCommand {
  /** `context use`, as typed. */
  readonly name: string;
  readonly description: string;
  readonly options: readonly CompletedOption[];
  /** What stands after the name without an option; undefined when nothing does. */
  readonly argument: Value | undefined;
}

export interface CommandLine {
  readonly globalOptions: readonly CompletedOption[];
  readonly commands: readonly CompletedCommand[];
}

const LIVE_OPTIONS: Readonly<Record<string, LiveKind>> = {
  '--target-group': 'groups',
  '--allowed-target-group': 'groups',
  '--server': 'servers',
  '--client': 'clients',
  '--listener': 'listeners',
  '--reason': 'reasons',
  '--to': 'revisions',
  '--context': 'contexts',
};

const METHODS = Object.values(AdminServiceService)
  .map(({ path }) => path.slice(path.lastIndexOf('/') + 1))
  .sort();
/** Beside the admin API's own, those of the other services that it serves. */
const OTHER_METHODS = ['grpc.health.v1.Health/Check', 'grpc.health.v1.Health/List', 'grpc.health.v1.Health/Watch'];

/** Names that such a command makes are not there yet. */
const NEW_NAME: Readonly<Record<string, string>> = {
  'add-target-group': '--name',
  'add-upstream-server': '--server',
  'add-client': '--client',
};

/** Every command that can be typed, with those below it; hidden ones are left out. */
export function commandLineOf(program: Command): CommandLine {
  return {
    globalOptions: program.options.map((option) => optionOf(option, '')),
    commands: program.commands.flatMap((command) => commandsIn(command, [])),
  };
}

function commandsIn(command: Command, above: readonly string[]): readonly CompletedCommand[] {
  // commander marks a hidden command by leaving it out of the help.
  if (command.parent !== null && !command.parent.createHelp().visibleCommands(command.parent).includes(command)) return [];
  const words = [...above, command.name()];
  const name = words.join(' ');
  const own: CompletedCommand = {
    name,
    description: command.description(),
    options: command.options.map((option) => optionOf(option, name)),
    argument: argumentOf(command.registeredArguments[0], command, above),
  };
  return [own, ...command.commands.flatMap((below) => commandsIn(below, words))];
}

function argumentOf(argument: Argument | undefined, command: Command, above: readonly string[]): Value | undefined {
  if (command.commands.length > 0) return { kind: 'words', words: command.commands.map((below) => below.name()) };
  if (argument === undefined) return undefined;
  if (argument.argChoices !== undefined) return { kind: 'words', words: argument.argChoices };
  if (command.name() === 'call') return { kind: 'words', words: [...METHODS, ...OTHER_METHODS] };
  return above[0] === 'context' && command.name() === 'use' ? { kind: 'live', of: 'contexts' } : { kind: 'text' };
}

function optionOf(option: Option, commandName: string): CompletedOption {
  const { short, long, description, required, optional } = option;
  return {
    flags: [long, short].filter((flag) => flag !== undefined),
    description,
    value: required || optional ? wantedAfter(option, commandName) : undefined,
  };
}

function wantedAfter({ long = '', argChoices, flags }: Option, commandName: string): Value {
  if (argChoices !== undefined) return { kind: 'words', words: argChoices };
  if (flags.endsWith('<file>')) return { kind: 'file' };
  if (long === '--method') return { kind: 'words', words: METHODS };
  if (NEW_NAME[commandName] === long) return { kind: 'text' };
  if (long === '--name' && commandName.endsWith('-target-group')) return { kind: 'live', of: 'groups' };
  const live = LIVE_OPTIONS[long];
  return live === undefined ? { kind: 'text' } : { kind: 'live', of: live };
}
