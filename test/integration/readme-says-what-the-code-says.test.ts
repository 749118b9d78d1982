import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { fillIn, PAGES } from '../../scripts/readme.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { REASONS, REFUSAL_REASONS } from '../../src/domain/reasons.ts';
import { README, readBlocks, stepOf } from '../support/readme.ts';

const readme = readFileSync(README, 'utf8');
const blocks = readBlocks(readme);
const sample = readFileSync(path.join(import.meta.dirname, '../../examples/sample.yaml'), 'utf8');
const byLanguage = (language: string) => blocks.filter((block) => block.language === language);

for (const page of PAGES) {
  test(`what comes from the code is up to date in ${page}: config keys, lbctl commands, reasons, roles, examples`, () => {
    const text = readFileSync(path.join(path.dirname(README), page), 'utf8');
    assert.match(text, /<!-- from the code: /);
    assert.equal(fillIn(text), text, `${page} is out of date: run node scripts/readme.ts`);
  });

  test(`every link within ${page} leads to a heading`, () => {
    const text = readFileSync(path.join(path.dirname(README), page), 'utf8');
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => anchorOf(title));
    for (const [, anchor = ''] of text.matchAll(/\]\(#([^)]*)\)/g))
      assert.equal(headings.filter((heading) => heading === anchor).length, 1, `#${anchor} is no heading, or several`);
  });
}

test('what to do is said of every reason why a connection is refused, and of none that is not in the list', () => {
  const [, table = ''] = readme.split('| you see | look at | then |\n');
  const rows = table.slice(0, table.indexOf('\n\n')).split('\n').slice(1);
  const named = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, reason = '']) => reason));
  assert.deepEqual(
    REFUSAL_REASONS.filter((reason) => !named.includes(reason)),
    [],
  );
  const listed: ReadonlySet<string> = new Set(REASONS);
  assert.deepEqual(
    named.filter((reason) => !listed.has(reason)),
    [],
  );
});

test('the sample config and the examples are shown as they are', () => {
  const shown = [...readme.matchAll(/<!-- from the code: (examples\/\S+) -->/g)].map(([, file]) => file);
  assert.deepEqual(shown, [
    'examples/sample.yaml',
    'examples/library.ts',
    'examples/pick.ts',
    'examples/watch-health.ts',
    'examples/add-client.mjs',
  ]);
});

test('every shell block is run, or says why not', () => {
  assert.ok(byLanguage('sh').length > 20);
  for (const block of byLanguage('sh')) stepOf(block);
});

test('every program shown is one of the examples', () => {
  for (const { text, line } of [...byLanguage('ts'), ...byLanguage('mjs')]) {
    const before = readme.split('\n')[line - 2] ?? '';
    assert.match(
      before,
      /^<!-- from the code: examples\/[\w-]+\.(?:ts|mjs) -->$/,
      `README.md:${line} shows a program that no test runs: ${text}`,
    );
  }
});

describe('every YAML block is a config that loads, a part of one together with the sample', () => {
  for (const { text, line, note } of byLanguage('yaml')) {
    test(`line ${line}`, () => {
      const config = note === 'part of a config' ? stringify(merged(parse(sample), parse(text))) : text;
      parseConfig(config, 'README.md', { cwd: '/', exists: () => false });
    });
  }
});

/** The keys of the part over those of the whole; mappings are merged, lists are replaced. */
function merged(whole: unknown, part: unknown): unknown {
  if (!isMapping(whole) || !isMapping(part)) return part;
  return { ...whole, ...Object.fromEntries(Object.entries(part).map(([key, value]) => [key, merged(whole[key], value)])) };
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

test('every file that the README links to is there, with the heading that it names', () => {
  for (const [link, file = '', anchor] of readme.matchAll(/\]\((?!#|https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
    const text = readFileSync(path.join(path.dirname(README), file), 'utf8');
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => anchorOf(title));
    assert.ok(anchor === undefined || headings.includes(anchor), link);
  }
});

/** As GitHub makes them. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}
