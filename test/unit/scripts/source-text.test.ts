import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importedModules, readSource } from '../../../scripts/source-text.ts';

/** A text, and what is left of it as code once runs of blanks are one. */
const CODE: readonly (readonly [text: string, code: string])[] = [
  ['a; // b', 'a; '],
  ['a /* b\n c */ d', 'a \n d'],
  ["a('it\\'s // no comment') // b", "a(' ) "],
  ['a("/*") + b', 'a(" ) + b'],
  ['a / b / c // d', 'a / b / c '],
  ['x = /[/"\'] \\/ `/.test(a)', 'x = / .test(a)'],
  ['return /a/', 'return / '],
  ['f(`a ' + '$' + '{b(c)} d`, e)', 'f(` b(c)} , e)'],
  ['`' + '$' + '{ {a: "}"} }`; // b', '` {a: " } } ; '],
  ['`' + '$' + '{`' + '$' + '{a}`}`; b', '` ` a} } ; b'],
  ['`\\`' + '\\$' + '{a}` + b', '` + b'],
];

for (const [text, code] of CODE) {
  test(`the code in ${JSON.stringify(text)}`, () => {
    const { withoutComments, codeOnly } = readSource(text);
    assert.equal(codeOnly.replace(/ +/g, ' '), code);
    for (const { length } of [withoutComments, codeOnly]) assert.equal(length, text.length, 'every character keeps its place');
  });
}

test('without comments, strings stay as they are', () => {
  assert.equal(readSource("import a from '//b'; // c").withoutComments.trimEnd(), "import a from '//b';");
});

test('every form of import is found, with its line and its names', () => {
  const text = [
    "import 'one';",
    "import two from 'two';",
    'import {',
    '  a as b,',
    '  type c,',
    "} from './three.ts';",
    "import type * as four from 'four';",
    "export * from 'five';",
    'export { d } from "six";',
    "const seven = await import('seven');",
    "const eight = require('eight');",
    "export const nine = 'import \\'nope\\'';",
    "const ten = `import('nope')`; // import 'nope'",
    "const from = 'nope';",
    "thing.import('nope');",
  ].join('\n');
  const found = importedModules(readSource(text)).map(({ specifier, line, names }) => [specifier, line, ...names]);
  assert.deepEqual(found, [
    ['one', 1],
    ['two', 2],
    ['./three.ts', 6, 'a', 'c'],
    ['four', 7],
    ['five', 8],
    ['six', 9, 'd'],
    ['seven', 10],
    ['eight', 11],
  ]);
});
