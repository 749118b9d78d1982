import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explanation } from '../../../cli/commands/explain.ts';
import { ExplainResponse } from '../../../src/gen/lb/admin/v1/admin.ts';

test('a connection that would wait in a queue is said to', () => {
  const ending = (pick: string) =>
    explanation(ExplainResponse.fromPartial({ admitted: true, clientId: 'c', targetGroup: 'q', pick, revision: 3n }), (text) => text);
  assert.equal(ending(''), 'c would wait in the queue of q (revision 3)');
  assert.equal(ending('a:1'), 'c would be served by a:1 of q (revision 3)');
});
