import { Document, isScalar, visit } from 'yaml';
import type { Io } from './io.ts';
import { type Plain, toPlain } from './plain.ts';

export const OUTPUTS = ['table', 'json', 'yaml'] as const;
export type Output = (typeof OUTPUTS)[number];

export type Tone = 'good' | 'bad' | 'unsure';
export type Cell = string | { readonly text: string; readonly tone: Tone };

/** Writes replies in the format that was asked for; `human` text is what stands for them in a table. */
export interface Printer {
  readonly paint: Paint;
  /** A reply told in one sentence. */
  sentence(message: unknown, human: string): void;
  /** A reply shown as a block of lines that {@link table} made. */
  block(message: unknown, human: string): void;
  /** One message of a stream; without `human` it has no place in a table. */
  event(message: unknown, human: string | undefined): void;
}

export type Paint = (text: string, tone: Tone) => string;

const SGR: Readonly<Record<Tone, string>> = { good: '32', bad: '31', unsure: '33' };

// Control characters, what moves the text direction, line separators, and halves of surrogate pairs.
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu;

/** Text that cannot steer a terminal: control and direction characters are shown escaped, as `\x1b` or `\u202e`. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** {@link safeText} for text of several lines. */
export function safeLines(text: string): string {
  return text.split('\n').map(safeText).join('\n');
}

/** One line of JSON in which nothing can steer a terminal. */
export function toJsonLine(value: Plain): string {
  return escapeInQuotes(JSON.stringify(value));
}

/** A YAML document in which nothing can steer a terminal. */
export function toYaml(value: Plain): string {
  const document = new Document(value);
  visit(document, {
    Scalar(_key, node) {
      // Only a double-quoted scalar has escapes.
      if (isScalar(node) && typeof node.value === 'string' && safeText(node.value) !== node.value) node.type = 'QUOTE_DOUBLE';
    },
  });
  return document.toString({ lineWidth: 0 }).replace(/[^\n]+/g, escapeInQuotes);
}

function escapeInQuotes(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Colours when standard output is a terminal and NO_COLOR is not set (no-color.org). */
export function paintFor(io: Pick<Io, 'stdout' | 'env'>): Paint {
  const noColor = io.env['NO_COLOR'];
  const coloured = io.stdout.isTTY === true && (noColor === undefined || noColor === '');
  return coloured ? (text, tone) => `\u001b[${SGR[tone]}m${text}\u001b[0m` : (text) => text;
}

/** Aligned columns under a header; an empty cell shows as `-`. What is in the cells is made safe for a terminal. */
export function table(header: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => textOf(row[column]).length)));
  return [header, ...rows].map((row) => tableLine(row, widths, paint)).join('\n');
}

/** One line of a table whose columns have these least widths, in characters. */
export function tableLine(row: readonly Cell[], widths: readonly number[], paint: Paint): string {
  return row
    .map((cell, column) => {
      const text = textOf(cell);
      const padding = column === row.length - 1 ? '' : ' '.repeat(Math.max(0, (widths[column] ?? 0) - text.length) + 2);
      return (typeof cell === 'string' ? text : paint(text, cell.tone)) + padding;
    })
    .join('');
}

function textOf(cell: Cell | undefined): string {
  const text = typeof cell === 'object' ? cell.text : (cell ?? '');
  return text === '' ? '-' : safeText(text);
}

/** The printer for one run of lbctl. */
export function createPrinter(io: Pick<Io, 'stdout' | 'env'>, output: Output): Printer {
  const line = (text: string) => io.stdout.write(`${text}\n`);
  const data = (message: unknown) => {
    const plain = toPlain(message);
    if (output === 'json') line(toJsonLine(plain));
    else io.stdout.write(toYaml(plain));
  };
  return {
    paint: paintFor(io),
    sentence: (message, human) => (output === 'table' ? line(safeText(human)) : data(message)),
    block: (message, human) => (output === 'table' ? line(human) : data(message)),
    event: (message, human) => {
      if (output === 'table') {
        if (human !== undefined) line(human);
        return;
      }
      if (output === 'yaml') line('---');
      data(message);
    },
  };
}
