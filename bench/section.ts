/** A table of the report, and its two forms. */
import { markdownTable } from '../scripts/markdown.ts';

export interface Section {
  /** By which the documentation asks for it. */
  readonly id: string;
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** For a terminal: the title, and columns of one width each. */
export function asText({ title, columns, rows }: Section): readonly string[] {
  const all = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return [title, ...all.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())];
}

/** For a page: the title as a sentence of its own, and a table. */
export function asMarkdown({ title, columns, rows }: Section): string {
  return `${title}:\n\n${markdownTable(columns, rows)}`;
}
