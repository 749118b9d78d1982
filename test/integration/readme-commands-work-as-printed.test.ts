import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, watch } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { readBlocks, type Step, stepOf } from '../support/readme.ts';
import { comparableLines, Story } from '../support/story.ts';
import type { Terminal } from '../support/terminal.ts';

/** An upper bound, not a pace. */
const PATIENCE_MS = 60_000;
const ELISION = '…';

const steps = readBlocks()
  .filter(({ language }) => language === 'sh')
  .map(stepOf)
  .filter((step): step is Step => !('notRun' in step));

for (const name of new Set(steps.flatMap(({ stories }) => stories))) {
  test(`the README's ${name}, block by block`, { timeout: 280_000 }, async (t) => {
    const story = await Story.begin();
    try {
      const terminal = story.openTerminal();
      let intact = true;
      for (const step of steps.filter(({ stories }) => stories.includes(name))) {
        await t.test(`line ${step.line}: ${step.text.split('\n', 1)[0]}`, async (t) => {
          const missing = step.needs.find((program) => !isInstalled(program));
          if (missing !== undefined) return t.skip(`${missing} is not installed here`);
          if (!intact) return t.skip('a block before it failed');
          intact = false;
          await play(step, story, terminal);
          intact = true;
        });
      }
    } finally {
      await story.end();
    }
  });
}

async function play(step: Step, story: Story, terminal: Terminal): Promise<void> {
  const commands = story.onOwnPorts(step.text);
  if (step.backgroundUntil !== undefined) {
    const printed = await story.openTerminal().runUntil(commands, story.onOwnPorts(step.backgroundUntil));
    if (step.output !== undefined) assertPrints(step, story.asInReadme(printed), step.output);
    return;
  }
  const { output, code } = await terminal.run(commands);
  if (step.output !== undefined) assertPrints(step, story.asInReadme(output), step.output);
  else assert.equal(code, 0, `README.md:${step.line} fails:\n${output}`);
  if (step.until !== undefined) await untilFileSays(path.join(story.folder, step.until.file), step.until.says);
}

function assertPrints(step: Step, printed: string, shown: string): void {
  const [actual, expected] = [comparableLines(printed), comparableLines(shown)];
  assert.ok(expected.length > 0, `README.md:${step.line} shows no output; it prints\n${printed}`);
  const comparison = `README.md:${step.line} shows\n${shown}\n--- and it prints\n${printed}\n--- which is compared as\n${actual.join('\n')}`;
  if (step.linesVary) {
    assert.ok(actual.length > 0 && actual.every((line) => expected.includes(line)), comparison);
    return;
  }
  const pattern = expected.map((line) => (line === ELISION ? '(?:.*\\n)*?' : `${RegExp.escape(line)}\\n`)).join('');
  assert.match(actual.map((line) => `${line}\n`).join(''), new RegExp(`^${pattern}$`), comparison);
}

function untilFileSays(file: string, says: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const read = () => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  const look = () => {
    if (read().includes(says)) resolve();
  };
  // The folder: the file itself may not be there yet.
  const watcher = watch(path.dirname(file), look);
  const giveUp = () => reject(new Error(`${file} does not say ${says}:\n${read()}`));
  const patience = setTimeout(giveUp, PATIENCE_MS);
  look();
  return promise.finally(() => {
    clearTimeout(patience);
    watcher.close();
  });
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
}
