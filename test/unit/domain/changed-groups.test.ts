import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { changedGroups } from '../../../src/domain/changed-groups.ts';
import { EMPTY_SNAPSHOT, type Snapshot, type TargetGroup } from '../../../src/domain/model.ts';
import { sampleGroup } from '../../support/sample-state.ts';

const stateOf = (groups: readonly TargetGroup[]): Snapshot => ({
  ...EMPTY_SNAPSHOT,
  targetGroups: new Map(groups.map((group) => [group.name, group])),
});

test('what changed, and it alone, leads from one state to the other, whichever these are', () => {
  const pool = ['a', 'b', 'c', 'd'].flatMap((name) => [sampleGroup(name, ['h:1']), sampleGroup(name, ['h:2'])]);
  const someGroups = fc.uniqueArray(fc.constantFrom(...pool), { selector: ({ name }) => name });
  fc.assert(
    fc.property(someGroups, someGroups, (some, others) => {
      const [previous, next] = [stateOf(some), stateOf(others)];
      const changed = changedGroups(previous, next);
      const groups = new Map(previous.targetGroups);
      for (const { name, before, after } of changed) {
        assert.notEqual(before, after);
        assert.equal(groups.get(name), before);
        if (after === undefined) groups.delete(name);
        else groups.set(name, after);
      }
      assert.deepEqual(groups, next.targetGroups);
      assert.equal(new Set(changed.map(({ name }) => name)).size, changed.length);
      const gone = changed.findLastIndex(({ after }) => after === undefined);
      const here = changed.findIndex(({ after }) => after !== undefined);
      assert.ok(here === -1 || gone < here, 'those that are gone come first');
    }),
  );
});
