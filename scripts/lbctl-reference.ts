/** Every command of lbctl with its flags, for the README: from the commander tree that reads the command line. */
import type { Command, Option } from 'commander';
import { createProgram } from '../cli/program.ts';
import { markdownTable } from './markdown.ts';

/** The global flags, then the commands in the groups and the order of `lbctl --help`. */
export function lbctlReference(): string {
  const program = createProgram({
    stdout: { write: () => true },
    stderr: { write: () => true },
    env: {},
    homeFolder: '/',
    nowMs: () => 0,
    readStdin: async () => '',
    onInterrupt: () => () => undefined,
    terminal: undefined,
  });
  const visible = program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => program.commands.includes(command));
  const commands = visible.flatMap((command) => (command.commands.length > 0 ? command.commands : [command]));
  const changes = commands.filter(isChange);
  const common = optionsOf(changes[0]).filter(isCommonToChanges);
  const groups = Map.groupBy(commands, (command) => (command.parent === program ? command : command.parent)?.helpGroup() ?? '');
  return [
    'Before or after any command:',
    flagTable(program.options.filter(({ long }) => long !== '--version')),
    `${changes.map((command) => `\`${nameOf(command)}\``).join(', ')} also take:`,
    flagTable(common),
    ...[...groups].flatMap(([group, members]) => [`#### ${group.replace(/:$/, '')}`, ...members.map(commandText)]),
  ].join('\n\n');
}

const isCommonToChanges = ({ long }: Option) => long === '--expected-revision' || long === '--request-id';
const isChange = (command: Command) => command.options.some(isCommonToChanges);
const optionsOf = (command: Command | undefined) => command?.options ?? [];

function commandText(command: Command): string {
  const own = command.options.filter((option) => !isCommonToChanges(option));
  const args = command.registeredArguments.map((argument) => ` <${argument.name()}>`).join('');
  const line = `**\`lbctl ${nameOf(command)}${args}\`**: ${command.description()}`;
  return own.length === 0 ? line : `${line}\n\n${flagTable(own)}`;
}

/** With the command it belongs to: `context use`. */
function nameOf(command: Command): string {
  const parent = command.parent;
  return parent?.parent === null || parent === null ? command.name() : `${parent.name()} ${command.name()}`;
}

function flagTable(options: readonly Option[]): string {
  const rows = options.map(({ flags, description, mandatory, argChoices, defaultValue, defaultValueDescription }) => {
    const notes = [
      ...(mandatory ? ['required'] : []),
      ...(argChoices === undefined ? [] : [argChoices.join(', ')]),
      ...(defaultValue === undefined ? [] : [`default: ${defaultValueDescription ?? String(defaultValue)}`]),
    ];
    return [`\`${flags}\``, notes.length === 0 ? description : `${description} (${notes.join('; ')})`];
  });
  return markdownTable(['flag', 'meaning'], rows);
}
