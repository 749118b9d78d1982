/** README.md as a test sees it: its fenced blocks, and what the comment before each says a test is to do with it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export const README = path.join(import.meta.dirname, '../../README.md');

export interface Block {
  /** Of its fence, counted from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** The text of the HTML comment in the line above the fence; empty without one. */
  readonly note: string;
  /** The next block, when it is a `text` block and nothing but blank lines is between: what this one prints. */
  readonly output: string | undefined;
}

export function readBlocks(readme: string = readFileSync(README, 'utf8')): readonly Block[] {
  const lines = readme.split('\n');
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const block = blockAt(lines, at);
    if (block === undefined) continue;
    const next = blockAt(lines, afterBlanks(lines, block.end + 1));
    const note = /^<!-- (?<note>.*) -->$/.exec(lines[at - 1] ?? '')?.groups?.['note'] ?? '';
    blocks.push({
      line: at + 1,
      language: block.language,
      text: block.text,
      note,
      output: next?.language === 'text' ? next.text : undefined,
    });
    at = block.end;
  }
  return blocks;
}

function blockAt(
  lines: readonly string[],
  at: number,
): { readonly language: string; readonly text: string; readonly end: number } | undefined {
  const language = /^```(?<language>\w+)$/.exec(lines[at] ?? '')?.groups?.['language'];
  if (language === undefined) return undefined;
  const end = lines.indexOf('```', at);
  if (end === -1) throw new Error(`the block in line ${at + 1} has no end`);
  return { language, text: lines.slice(at + 1, end).join('\n'), end };
}

function afterBlanks(lines: readonly string[], from: number): number {
  let at = from;
  while (lines[at] === '') at++;
  return at;
}

/** A shell block that is run. */
export interface Step extends Block {
  /** The stories it belongs to: the blocks of one are run in order, in one folder. */
  readonly stories: readonly string[];
  /** Set: it goes on in a terminal of its own, and the next step is run when it has printed this. */
  readonly backgroundUntil: string | undefined;
  /** Set: the next step is run when this file says this. */
  readonly until: { readonly file: string; readonly says: string } | undefined;
  /** Which lines are printed depends on the machine: each must be one of those shown, in whatever order and number. */
  readonly linesVary: boolean;
  /** Programs without which it cannot be run. */
  readonly needs: readonly string[];
}

/** What the note of a shell block says: a step, or why it is not run. @throws Error for a note that says neither */
export function stepOf(block: Block): Step | { readonly notRun: string } {
  const notRun = /^not run: (?<why>.{10,})$/.exec(block.note)?.groups?.['why'];
  if (notRun !== undefined) return { notRun };
  const [first = '', ...rest] = block.note.split('; ');
  const stories = /^test: (?<stories>[\w, ]+)$/.exec(first)?.groups?.['stories']?.split(', ');
  if (stories === undefined)
    throw new Error(`README.md:${block.line}: this shell block needs <!-- test: STORY --> or <!-- not run: REASON --> above it`);
  let step: Step = { ...block, stories, backgroundUntil: undefined, until: undefined, linesVary: false, needs: [] };
  for (const part of rest) {
    const groups = (pattern: RegExp) => pattern.exec(part)?.groups;
    const background = groups(/^in the background until "(?<says>.+)"$/);
    const until = groups(/^until (?<file>\S+) says "(?<says>.+)"$/);
    const needs = groups(/^if (?<program>\S+) is installed$/);
    if (background !== undefined) step = { ...step, backgroundUntil: background['says'] };
    else if (until !== undefined) step = { ...step, until: { file: until['file'] ?? '', says: until['says'] ?? '' } };
    else if (needs !== undefined) step = { ...step, needs: [...step.needs, needs['program'] ?? ''] };
    else if (part === 'lines vary') step = { ...step, linesVary: true };
    else throw new Error(`README.md:${block.line}: the note says "${part}", which means nothing`);
  }
  return step;
}
