import type { CommandLine, CompletedOption, Value } from './words.ts';

/** The completion script of lbctl for zsh 5: to source, or as `_lbctl` in a folder of `$fpath`. */
export function zshScript({ globalOptions, commands }: CommandLine): string {
  const top = commands.filter(({ name }) => !name.includes(' '));
  const groups = top.filter(({ name }) => commands.some((other) => other.name.startsWith(`${name} `)));
  const cases = commands.map(({ name, options, argument }) =>
    [
      `    (${quoted(name)})`,
      `      flags+=(${options.flatMap(described).map(quoted).join(' ')})`,
      ...(argument === undefined ? ["      positional='none'"] : [`      positional=${quoted(actionOf(argument))}`]),
      ...valueCases(options).map((line) => `      ${line}`),
      '      ;;',
    ].join('\n'),
  );
  return `#compdef lbctl
# zsh completion of lbctl; load it with: source <(lbctl completion zsh)

_lbctl() {
  local current=\${words[CURRENT]} previous=\${words[CURRENT-1]} command='' skip='' action='' positional='commands' word
  local -a flags commands choices
  local -i i
  flags=(${globalOptions.flatMap(described).map(quoted).join(' ')})
  commands=(${top.map(({ name, description }) => quoted(`${name}:${description}`)).join(' ')})
  # --flag=value is completed as --flag value.
  if [[ $current == --*=* ]]; then
    previous=\${current%%=*}
    compset -P '*='
  fi
  for (( i = 2; i < CURRENT; i++ )); do
    word=\${words[i]}
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
      (${globalOptions
        .filter(({ value }) => value !== undefined)
        .flatMap(({ flags }) => flags)
        .join('|')}) skip=1 ;;
      (-*) [[ -n $command ]] && break ;;
      (*)
        if [[ -z $command ]]; then command=$word
        else case $command in (${groups.map(({ name }) => name).join('|')}) command="$command $word" ;; esac
        fi
        ;;
    esac
  done
  ${valueCases(globalOptions).join('\n  ')}
  case $command in
${cases.join('\n')}
  esac
  if [[ -z $action ]]; then
    if [[ $current == -* ]]; then action='flags'; else action=$positional; fi
  fi
  case $action in
    (flags) _describe -t options 'option' flags ;;
    (commands) _describe -t commands 'command' commands ;;
    (file) _files ;;
    (words*) choices=(\${=action#words}); compadd -a choices ;;
    (live*) choices=(\${(f)"$(lbctl __complete \${action#live } -- "\${(@)words[2,CURRENT-1]}" 2>/dev/null)"}); compadd -a choices ;;
  esac
}

if [[ \${funcstack[1]} == _lbctl ]]; then _lbctl "$@"; else compdef _lbctl lbctl; fi
`;
}

/** `case $previous in` with what may follow each option. */
function valueCases(options: readonly CompletedOption[]): readonly string[] {
  const cases = options.flatMap(({ flags, value }) =>
    value === undefined ? [] : [`  (${flags.join('|')}) action=${quoted(actionOf(value))} ;;`],
  );
  return cases.length === 0 ? [] : ['case $previous in', ...cases, 'esac'];
}

function actionOf(value: Value): string {
  switch (value.kind) {
    case 'words':
      return `words ${value.words.join(' ')}`;
    case 'live':
      return `live ${value.of}`;
    case 'file':
    case 'text':
      return value.kind;
  }
}

const described = ({ flags, description }: CompletedOption) => flags.map((flag) => `${flag}:${description}`);
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
