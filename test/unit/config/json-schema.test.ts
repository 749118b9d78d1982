import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { configJsonSchema } from '../../../src/config/json-schema.ts';

const examples = path.resolve(import.meta.dirname, '../../../examples');

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

// JSON Schema is plain data; what these tests read of it is declared above.
const schema = JSON.parse(JSON.stringify(configJsonSchema())) as Schema;

/** Enough of JSON Schema for what the config uses. */
function complaints(at: string, { anyOf, ...rest }: Schema, value: unknown): string[] {
  if (anyOf !== undefined) return anyOf.some((branch) => complaints(at, branch, value).length === 0) ? [] : [`${at}: fits no alternative`];
  if (rest.enum !== undefined) return rest.enum.includes(value) ? [] : [`${at}: not in the list`];
  if (rest.type === 'object') {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${at}: no object`];
    const missing = (rest.required ?? []).filter((key) => !Object.hasOwn(value, key)).map((key) => `${at}.${key}: missing`);
    return missing.concat(
      Object.entries(value).flatMap(([key, child]) => {
        const known = rest.properties?.[key];
        return known === undefined ? [`${at}.${key}: unknown`] : complaints(`${at}.${key}`, known, child);
      }),
    );
  }
  if (rest.type === 'array')
    return Array.isArray(value)
      ? value.flatMap((item, index) => complaints(`${at}[${index}]`, rest.items ?? {}, item))
      : [`${at}: no list`];
  if (rest.type === 'integer')
    return Number.isInteger(value) && Number(value) >= (rest.minimum ?? -1) && Number(value) <= (rest.maximum ?? 1e9)
      ? []
      : [`${at}: no such number`];
  if (rest.type === 'string') return typeof value === 'string' && new RegExp(rest.pattern ?? '').test(value) ? [] : [`${at}: no such text`];
  return typeof value === rest.type ? [] : [`${at}: not a ${rest.type}`];
}

function keys(at: string, { properties = {}, items, anyOf = [] }: Schema): [string, Schema][] {
  return [
    ...Object.entries(properties).flatMap(([key, child]): [string, Schema][] => [[`${at}.${key}`, child], ...keys(`${at}.${key}`, child)]),
    ...(items === undefined ? [] : keys(`${at}[]`, items)),
    ...anyOf.flatMap((branch) => keys(at, branch)),
  ];
}

for (const name of ['sample.yaml', 'full.yaml']) {
  test(`${name} fits the JSON Schema`, () => {
    assert.deepEqual(complaints('', schema, parse(readFileSync(path.join(examples, name), 'utf8'))), []);
  });
}

test('the JSON Schema refuses an unknown key, a bare number for a time, and a missing key', () => {
  const value = { listenAdress: 'x', timeouts: { idleTimeout: 5, drainTimeout: '5' }, targetGroups: [{ name: 'a' }] };
  assert.deepEqual(complaints('', schema, value), [
    '.listenAdress: unknown',
    '.timeouts.idleTimeout: no such text',
    '.timeouts.drainTimeout: no such text',
    '.targetGroups[0].upstreamServers: missing',
  ]);
});

test('every key says what it is, its default and an example', () => {
  const all = keys('', schema);
  assert.ok(all.length > 70, `${all.length} keys`);
  for (const [at, { description = '', examples: shown = [] }] of all) {
    assert.match(description, /^.{10,}(?:Required|Default: .+)\. Example: .+\.$/, at);
    assert.ok(shown.length > 0, at);
  }
});

test('each example fits its key', () => {
  for (const [at, key] of keys('', schema)) assert.deepEqual(complaints(at, key, key.examples?.[0]), [], at);
});

test('the full example names every key', () => {
  const text = readFileSync(path.join(examples, 'full.yaml'), 'utf8');
  const missing = keys('', schema)
    .map(([at]) => at.split('.').at(-1) ?? '')
    .filter((key) => !new RegExp(`\\b${key}:`).test(text));
  assert.deepEqual(missing, []);
});
