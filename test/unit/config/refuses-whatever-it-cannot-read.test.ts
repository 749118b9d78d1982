import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse as parseYaml } from 'yaml';
import type { Config } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/config/problems.ts';
import { EMPTY_SNAPSHOT } from '../../../src/domain/model.ts';
import { apply } from '../../../src/domain/state.ts';

const examples = path.resolve(import.meta.dirname, '../../../examples');
const full = readFileSync(path.join(examples, 'full.yaml'), 'utf8');
const sample = readFileSync(path.join(examples, 'sample.yaml'), 'utf8');

/** The config; undefined after a ConfigError that is as it should be. Anything else is thrown on. */
function read(text: string): Config | undefined {
  try {
    return parseConfig(text, 'lb.yaml', { cwd: '/', exists: () => false });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const lines = text.split(/\n/).length;
    assert.ok(error.problems.length > 0);
    assert.equal(error.message.split('\n').length, error.problems.length);
    for (const { line = 0, col = 0, expected } of error.problems) {
      assert.ok(line >= 1 && line <= lines && col >= 1, `${line}:${col} of ${lines} lines`);
      assert.match(expected, /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u);
    }
    return undefined;
  }
}

/** What is accepted here, the state accepts too. */
function readAndApply(text: string): Config | undefined {
  const config = read(text);
  if (config !== undefined) {
    const { listeners, targetGroups, clients, revocations } = config;
    apply(EMPTY_SNAPSHOT, { kind: 'replaceAll', listeners, targetGroups, clients, revocations });
  }
  return config;
}

test('any text is a config or a ConfigError', () => {
  const yamlish = fc.string({ unit: fc.constantFrom(...'ab0 \n\t:-?[]{}#&*!|>\'"%@`,~<=.\\\r\u0000\u202e\u{1f600}'), maxLength: 60 });
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), yamlish), (text) => assert.equal(read(text), undefined)),
    { numRuns: 500 },
  );
});

test('a file with a part cut out, put in or doubled is a config or a ConfigError', () => {
  const splice = fc.record({
    at: fc.nat(full.length),
    removed: fc.nat(40),
    added: fc.oneof(
      fc.constant(''),
      fc.string({ maxLength: 5 }),
      fc.nat(full.length - 30).map((from) => full.slice(from, from + 30)),
    ),
  });
  fc.assert(
    fc.property(fc.constantFrom(sample, full), fc.array(splice, { minLength: 1, maxLength: 3 }), (original, splices) => {
      let text = original;
      for (const { at, removed, added } of splices) text = text.slice(0, at) + added + text.slice(at + removed);
      readAndApply(text);
    }),
    { numRuns: 150 },
  );
});

const odd = [
  null,
  true,
  0,
  1,
  -1,
  0.5,
  65,
  256,
  257,
  1000,
  1001,
  100_001,
  1_000_001,
  2 ** 31,
  1e300,
  '',
  ' ',
  'x',
  'web',
  '5',
  '0s',
  '1ms',
  '10ms',
  '1d',
  '25d',
  '1h30m',
  '/',
  '/a b',
  'a:1',
  '[::1]:1',
  'TLSv1.3',
  'slidingWindowLog',
  'leakyBucket',
  'http',
  'none',
  '*',
  'é',
  'a\nb',
  'x'.repeat(254),
  'x'.repeat(1001),
  [],
  ['x'],
  {},
  { a: 1 },
];

/** Paths to every value inside. */
function pathsOf(value: unknown): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[key], ...pathsOf(child).map((rest) => [key, ...rest])]);
}

function replaced(value: unknown, [step, ...rest]: readonly string[], by: unknown): unknown {
  if (step === undefined) return by;
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === step ? replaced(item, rest, by) : item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, key === step ? replaced(child, rest, by) : child]));
}

test('an odd value in any place is refused, or taken in by the state as well', () => {
  const original: unknown = parseYaml(full);
  let accepted = 0;
  let refused = 0;
  for (const [index, at] of pathsOf(original).entries()) {
    // Every place meets a sixth of the odd values, so that the run stays short.
    for (const value of odd.filter((_, position) => position % 6 === index % 6)) {
      // JSON is YAML.
      if (readAndApply(JSON.stringify(replaced(original, at, value))) === undefined) refused++;
      else accepted++;
    }
  }
  assert.ok(accepted > 30 && refused > 300, `${accepted} accepted, ${refused} refused`);
});

test('brackets without end are refused', () => {
  for (const text of ['['.repeat(20_000), '{a: '.repeat(5000), '- '.repeat(5000), `a: ${'&x '.repeat(1000)}`])
    assert.equal(read(text), undefined);
});

test('ten thousand clients are read', () => {
  const clients = Array.from({ length: 10_000 }, (_, index) => ({ clientId: `c${index}`, allowedTargetGroup: 'g' }));
  const config = read(
    JSON.stringify({
      listenAddress: '127.0.0.1:0',
      tlsParams: { certificate: 'a', privateKey: 'b', caCert: 'c' },
      targetGroups: [{ name: 'g', upstreamServers: [] }],
      clients,
    }),
  );
  assert.equal(config?.clients.length, 10_000);
});
