/** Reads TypeScript as text: what is code and what is not, and which modules a file names. */

/** A module that a file imports, re-exports or loads, type-only imports included. */
export interface ImportedModule {
  readonly specifier: string;
  /** Counted from 1. */
  readonly line: number;
  /** The names in braces, as the other module calls them; empty for other forms. */
  readonly names: readonly string[];
}

export interface SourceText {
  /** Comments blanked out; every line keeps its number. */
  readonly withoutComments: string;
  /** Comments and the insides of strings and regular expressions blanked out: nothing but code. */
  readonly codeOnly: string;
}

/** A slash after one of these begins a regular expression; after anything else it divides. */
const BEFORE_REGEX = /(?:^|[=(,:;[!&|?{}+\-*%<>~^]|\b(?:return|typeof|case|in|of|void|yield|await))\s*$/;

/** Splits code from comments and literals. The `${}` parts of a template literal are code. */
export function readSource(text: string): SourceText {
  const withoutComments = text.split('');
  const codeOnly = text.split('');
  const blank = (target: string[], from: number, to: number) => {
    for (let i = from; i < to; i++) if (text[i] !== '\n') target[i] = ' ';
  };
  /** For each template literal that is open: how many braces its `${` contains so far. */
  const templates: number[] = [];
  let at = 0;

  const literal = (end: RegExp, begin: number) => {
    end.lastIndex = begin;
    const match = end.exec(text);
    const to = match === null ? text.length : match.index + match[0].length;
    blank(codeOnly, begin, to);
    at = to;
    return match?.[0] ?? '';
  };
  const template = (begin: number) => {
    // Group by group up to the closing quote or to a `${`.
    if (literal(/(?:\\[\s\S]|\$(?!\{)|[^\\`$])*(?:`|\$\{)/y, begin).endsWith('${')) templates.push(0);
  };

  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const char = text.charAt(at);
    if (two === '//' || two === '/*') {
      const close = two === '//' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2) + 2;
      const to = close < at + 2 ? text.length : close;
      blank(withoutComments, at, to);
      blank(codeOnly, at, to);
      at = to;
    } else if (char === "'") literal(/(?:\\[\s\S]|[^\\'\n])*'?/y, at + 1);
    else if (char === '"') literal(/(?:\\[\s\S]|[^\\"\n])*"?/y, at + 1);
    else if (char === '`') template(at + 1);
    else if (char === '/' && BEFORE_REGEX.test(codeOnly.slice(Math.max(0, at - 100), at).join(''))) {
      literal(/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^\\/[\n])*\/?/y, at + 1);
    } else {
      const open = templates.at(-1);
      if (open !== undefined && char === '{') templates[templates.length - 1] = open + 1;
      if (open !== undefined && char === '}') {
        if (open > 0) templates[templates.length - 1] = open - 1;
        else {
          templates.pop();
          template(at + 1);
          continue;
        }
      }
      at++;
    }
  }
  return { withoutComments: withoutComments.join(''), codeOnly: codeOnly.join('') };
}

const IMPORT_FORMS = [
  /(?<![\w.$])(?:import|export)\s+(?:type\s+)?(?:(?<clause>[\w$*{][^'"`;]*?)\s*\bfrom\s*)?(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/g,
  /(?<![\w.$])(?:import|require)\s*\(\s*(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/g,
];

/** Every module that the text names in an import or export statement, an `import()` or a `require()`, in order. */
export function importedModules({ withoutComments, codeOnly }: SourceText): readonly ImportedModule[] {
  const found: (ImportedModule & { readonly index: number })[] = [];
  for (const form of IMPORT_FORMS) {
    for (const match of withoutComments.matchAll(form)) {
      const { specifier = '', clause = '' } = match.groups ?? {};
      // The words may stand in a string; then the code has a blank there.
      if (codeOnly.charAt(match.index) === ' ') continue;
      const index = match.index + match[0].length;
      found.push({ specifier, index, line: lineOf(withoutComments, index), names: namesIn(clause) });
    }
  }
  return found.sort((a, b) => a.index - b.index);
}

/** Counted from 1. */
export function lineOf(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

function namesIn(clause: string): readonly string[] {
  const braces = /\{(?<names>[^}]*)\}/.exec(clause)?.groups?.['names'] ?? '';
  return braces
    .split(',')
    .map((name) =>
      name
        .trim()
        .replace(/^type\s+/, '')
        .replace(/\s+as\s+.*$/s, ''),
    )
    .filter((name) => name !== '');
}
