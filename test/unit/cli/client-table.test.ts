import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientTable } from '../../../cli/commands/client-table.ts';
import { ClientStatus, LimitAction, RateAlgorithm } from '../../../src/gen/lb/admin/v1/admin.ts';

test('a burst is told when it was given', () => {
  const rate = (burst: number) =>
    clientTable(
      [
        ClientStatus.fromPartial({
          client: {
            clientId: 'c',
            limits: { connectionRate: { limit: 10, burst, algorithm: RateAlgorithm.TOKEN_BUCKET, action: LimitAction.RESET } },
          },
        }),
      ],
      (text) => text,
    );
  assert.match(rate(25), / 10 per 1s burst 25 tokenBucket reset /);
  assert.match(rate(10), / 10 per 1s burst 10 tokenBucket reset /);
  assert.match(rate(0), / 10 per 1s tokenBucket reset /);
});
