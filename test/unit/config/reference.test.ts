import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { changedBy } from '../../../scripts/config-changes.ts';
import { configReference, type DocumentedKey, documentedKeys } from '../../../scripts/config-reference.ts';
import { needsRestart } from '../../../src/config/needs-restart.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const FULL = path.resolve(import.meta.dirname, '../../../examples/full.yaml');
const keys = documentedKeys();
const at = (wanted: string): DocumentedKey => keys.find((key) => key.path === wanted) ?? assert.fail(`no key ${wanted}`);

describe('the reference of the configuration', () => {
  test('says of every key its unit, its values, its default, an example and what changes it', () => {
    assert.ok(keys.length > 120, `${keys.length} keys`);
    for (const key of keys) {
      for (const part of [key.about, key.unit, key.range]) assert.match(part, /\S/, key.path);
      assert.notEqual(key.fallback, '', key.path);
      assert.notEqual(key.example, undefined, key.path);
      assert.ok(key.changedBy.length > 0, key.path);
    }
    assert.equal(new Set(keys.map((key) => key.path)).size, keys.length, 'each path is there once');
  });

  test('has no table without a key', () => {
    assert.doesNotMatch(configReference(), /\n\|-[-|]*\n(?!\|)/);
    assert.equal(at('admin.roles.viewer[].fingerprint').unit, at('clients[].match.fingerprint').unit);
  });

  test('has units and values from the types that read them', () => {
    const told = (wanted: string) => [at(wanted).unit, at(wanted).range];
    assert.deepEqual(told('targetGroups[].slowStart'), ['time', '0s to 1d']);
    assert.deepEqual(told('timeouts.maxDuration'), ['time', '1ms to 24d, or none']);
    assert.deepEqual(told('targetGroups[].hashBalanceFactor'), ['percent', '0, or 101 to 10000']);
    assert.deepEqual(told('targetGroups[].sendProxyProtocol'), ['word', 'v1, v2']);
    assert.deepEqual(told('clients[].allowedTargetGroups'), ['list of target groups', '1 to 253 letters, digits and . _ - : / @ *']);
    assert.deepEqual(told('targetGroups[].queue'), ['mapping', '[`targetGroups[].queue`](#targetgroupsqueue)']);
  });

  test('gives as default what the schema fills in', () => {
    let compared = 0;
    for (const { path: where, schema, fallback } of keys) {
      if (fallback === undefined) assert.equal(schema.safeParse(undefined).success, false, `${where} is required`);
      else assert.equal(schema.safeParse(undefined).success, true, `${where} may be left out`);
      if (!(schema instanceof z.ZodPrefault)) continue;
      const filledIn = schema.parse(undefined);
      if (typeof filledIn === 'object') continue;
      const written: unknown = parse(fallback ?? '');
      assert.deepEqual(schema.parse(written), filledIn, where);
      compared++;
    }
    assert.ok(compared > 40, `${compared} compared`);
  });

  test('gives examples that the schema takes', () => {
    for (const { path: where, schema, example } of keys) assert.equal(schema.safeParse(example).success, true, where);
  });

  test('says restart exactly of what a running balancer cannot take over from a file', () => {
    const text = readFileSync(FULL, 'utf8');
    const running = parseConfig(text, FULL);
    let changed = 0;
    for (const { path: where, example, changedBy: how } of keys) {
      const document: unknown = parse(text);
      if (!put(document, where.split('.'), example)) continue;
      let wanted: ReturnType<typeof parseConfig>;
      try {
        wanted = parseConfig(stringify(document), FULL);
      } catch {
        continue; // It would not fit with what else the file says.
      }
      if (JSON.stringify(wanted) === JSON.stringify(running)) continue;
      changed++;
      // The log level is a method's, and no business of the state that a file is applied to.
      const restarts = typeof how === 'string' || how.includes('SetLogLevel');
      assert.equal(needsRestart(running, wanted).length > 0, restarts, `${where}: ${needsRestart(running, wanted).join(', ')}`);
    }
    assert.ok(changed > 50, `${changed} keys were changed`);
  });

  test('does not guess what changes a key', () => {
    assert.throws(() => changedBy('targetGroup'), /does not say what changes targetGroup/);
    assert.deepEqual(changedBy('targetGroups[].queue.timeout'), ['UpdateTargetGroup']);
  });
});

/** Writes the value at the path in the first entries of lists that have its place; false when none has. */
function put(document: unknown, [step = '', ...rest]: readonly string[], value: unknown): boolean {
  if (typeof document !== 'object' || document === null) return false;
  const key = step.replace('[]', '');
  if (rest.length === 0) {
    if (!Object.hasOwn(document, key)) return false;
    return Reflect.set(document, key, value);
  }
  const child: unknown = Reflect.get(document, key);
  return step.endsWith('[]') && Array.isArray(child) ? child.some((item) => put(item, rest, value)) : put(child, rest, value);
}
