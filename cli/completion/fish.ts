import type { CommandLine, CompletedOption, Value } from './words.ts';

/** The completion script of lbctl for fish 3. */
export function fishScript({ globalOptions, commands }: CommandLine): string {
  const top = commands.filter(({ name }) => !name.includes(' '));
  const lines = commands.flatMap(({ name, description, options, argument }) => {
    const [first = '', second] = name.split(' ');
    const isTyped = second === undefined ? `__fish_seen_subcommand_from ${first}` : `__lbctl_seen ${first} ${second}`;
    const beside = commands.flatMap((other) => (other.name.startsWith(`${first} `) ? other.name.split(' ').slice(1) : []));
    const place =
      second === undefined
        ? 'not __fish_seen_subcommand_from $__lbctl_commands'
        : `__lbctl_seen ${first}; and not __fish_seen_subcommand_from ${beside.join(' ')}`;
    const live = argument?.kind === 'live' ? [`complete -c lbctl -n ${quoted(isTyped)} ${valueText(argument)}`] : [];
    const words =
      argument?.kind === 'words' && !commands.some((other) => other.name.startsWith(`${name} `))
        ? [`complete -c lbctl -n ${quoted(isTyped)} ${valueText(argument)}`]
        : [];
    return [
      `complete -c lbctl -n ${quoted(place)} -a ${name.split(' ').at(-1)} -d ${quoted(description)}`,
      ...options.map((option) => `complete -c lbctl -n ${quoted(isTyped)} ${optionText(option)}`),
      ...live,
      ...words,
    ];
  });
  return `# fish completion of lbctl; load it with: lbctl completion fish | source

set -g __lbctl_commands ${top.map(({ name }) => name).join(' ')}

function __lbctl_values
    set -l typed (commandline -opc)
    lbctl __complete $argv[1] -- $typed[2..-1] 2>/dev/null
end

function __lbctl_seen
    for name in $argv
        __fish_seen_subcommand_from $name; or return 1
    end
end

complete -c lbctl -f
${globalOptions.map((option) => `complete -c lbctl ${optionText(option)}`).join('\n')}
${lines.join('\n')}
`;
}

function optionText({ flags, description, value }: CompletedOption): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ');
  return `${names}${value === undefined ? '' : ` -r ${valueText(value)}`} -d ${quoted(description)}`.replaceAll('  ', ' ');
}

function valueText(value: Value): string {
  switch (value.kind) {
    case 'words':
      return `-f -a ${quoted(value.words.join(' '))}`;
    case 'live':
      return `-f -a ${quoted(`(__lbctl_values ${value.of})`)}`;
    case 'file':
      return '-F';
    case 'text':
      return '-f';
  }
}

const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
