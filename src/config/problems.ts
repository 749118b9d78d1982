/** What a problem in a config file looks like: one line that says where it is and what was expected there. */

/** A step into the file: a key of a mapping, or a position in a list, from 0. */
export type PathStep = string | number;

/** Line and column, both from 1. */
export interface Position {
  readonly line: number;
  readonly col: number;
}

export interface Problem extends Partial<Position> {
  /** As the caller named it. */
  readonly file: string;
  /** Such as `clients[1].allowedTargetGroup`; empty for the file as a whole. */
  readonly path: string;
  readonly expected: string;
}

/** A config file that cannot be used, with every reason why. The message has one line for each problem. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** `file:line:col: path: expected`; a problem of the whole file leaves out what it has not. */
export function formatProblem({ file, line, col, path, expected }: Problem): string {
  const place = line === undefined || col === undefined ? file : `${file}:${line}:${col}`;
  return [place, path, expected].filter((part) => part !== '').join(': ');
}

/** `['clients', 1, 'clientId']` -> `clients[1].clientId`. */
export function formatPath(path: readonly PathStep[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[\w-]{1,64}$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${quoted(step)}]`;
  }
  return text;
}

/** Text from the file for a message: in quotes, cut, and safe to print. */
export function quoted(text: string): string {
  return printable(JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text));
}

/** Nothing in the file may steer the terminal that shows the message, or make it two lines. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

/** How a value of the file is named in a message. */
export function found(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? quoted(value) : String(value);
}

/** The known word nearest to `word`, if it is near enough to be what was meant. */
function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > 100) return undefined;
  let best: string | undefined;
  let bestDistance = Math.floor(word.length / 3) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(simplified(word), simplified(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** ` (did you mean X?)`, or nothing. */
export function hint(word: string, known: Iterable<string>): string {
  const meant = nearest(word, known);
  return meant === undefined ? '' : ` (did you mean ${meant}?)`;
}

/** snake_case and kebab-case of a known key are as near as can be. */
function simplified(word: string): string {
  return word.toLowerCase().replace(/[_-]/g, '');
}

/** Levenshtein, row by row. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
