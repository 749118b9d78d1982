import type { CommandLine, CompletedOption, Value } from './words.ts';

/** The completion script of lbctl for bash 3.2 and later. */
export function bashScript({ globalOptions, commands }: CommandLine): string {
  const top = commands.filter(({ name }) => !name.includes(' ')).map(({ name }) => name);
  const groups = commands.filter(
    ({ argument, name }) => argument?.kind === 'words' && commands.some((other) => other.name.startsWith(`${name} `)),
  );
  const cases = commands.map(({ name, options, argument }) =>
    [
      `    ${quoted(name)})`,
      `      flags=${quoted(flagsOf([...options, ...globalOptions]))}`,
      ...(argument === undefined ? [] : [`      positional=${quoted(actionOf(argument))}`]),
      ...valueCases(options).map((line) => `      ${line}`),
      '      ;;',
    ].join('\n'),
  );
  return `# bash completion of lbctl; load it with: source <(lbctl completion bash)

_lbctl_values() {
  lbctl __complete "$@" 2>/dev/null
}

_lbctl() {
  COMPREPLY=()
  # bash has split the line at colons and equals signs: put host:port together again, and let --flag=value be --flag value.
  local -a words
  words=()
  local i n word
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    n=\${#words[@]}
    if ((n > 0)) && [[ $word == :* || ( \${words[n-1]} == *: && \${COMP_WORDS[i-1]} == : ) ]]; then
      words[n-1]+=$word
    elif [[ $word == = ]] && ((n > 0)); then
      ((i == COMP_CWORD)) && words+=("")
    else
      words+=("$word")
    fi
  done
  n=\${#words[@]}
  local current=\${words[n-1]} previous='' command='' skip='' action='' flags=${quoted(flagsOf(globalOptions))} positional=${quoted(`words ${top.join(' ')}`)}
  ((n > 1)) && previous=\${words[n-2]}
  for ((i = 1; i < n - 1; i++)); do
    word=\${words[i]}
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
      ${globalsWithValue(globalOptions)}) skip=1 ;;
      -*) [[ -n $command ]] && break ;;
      *)
        if [[ -z $command ]]; then command=$word
        else case $command in ${groups.length === 0 ? "''" : groups.map(({ name }) => name).join('|')}) command="$command $word" ;; esac
        fi
        ;;
    esac
  done
  case $previous in
${valueCases(globalOptions)
  .slice(1, -1)
  .map((line) => `  ${line}`)
  .join('\n')}
  esac
  case $command in
${cases.join('\n')}
  esac
  if [[ -z $action ]]; then
    if [[ $current == -* ]]; then action="words $flags"; else action=$positional; fi
  fi
  case $action in
    file) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    live*) action="words $(_lbctl_values "\${action#live }" -- "\${words[@]:1:n-2}")" ;;
  esac
  [[ $action == words* ]] || return
  COMPREPLY=($(compgen -W "\${action#words}" -- "$current"))
  # What stands before the last colon is not completed: it is a word of its own for bash.
  if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
    local before=\${current%"\${current##*:}"}
    for ((i = 0; i < \${#COMPREPLY[@]}; i++)); do COMPREPLY[i]=\${COMPREPLY[i]#"$before"}; done
  fi
}

complete -F _lbctl lbctl
`;
}

/** `case $previous in` with what may follow each option. */
function valueCases(options: readonly CompletedOption[]): readonly string[] {
  const cases = options.flatMap(({ flags, value }) =>
    value === undefined ? [] : [`  ${flags.join('|')}) action=${quoted(actionOf(value))} ;;`],
  );
  return cases.length === 0 ? [] : ['case $previous in', ...cases, 'esac'];
}

function globalsWithValue(options: readonly CompletedOption[]): string {
  return options
    .filter(({ value }) => value !== undefined)
    .flatMap(({ flags }) => flags)
    .join('|');
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

const flagsOf = (options: readonly CompletedOption[]) => options.flatMap(({ flags }) => flags).join(' ');
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
