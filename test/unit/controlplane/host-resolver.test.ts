import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HostResolver } from '../../../src/controlplane/host-resolver.ts';
import { EMPTY_SNAPSHOT } from '../../../src/domain/model.ts';
import type { ResolvedHosts } from '../../../src/shared/upstream-addresses.ts';
import { sampleGroup } from '../../support/sample-state.ts';

test('other addresses of a host are looked at once every worker knows them, and workers that start have them before', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const group = sampleGroup('web', ['shop.test:80'], { resolveIntervalMs: 1000 });
  const told: ResolvedHosts[] = [];
  const [before, after] = [['192.0.2.1'], ['192.0.2.2']];
  let found = before;
  let known = Promise.resolve();
  const resolver = new HostResolver({
    authority: { snapshot: { ...EMPTY_SNAPSHOT, targetGroups: new Map([['web', group]]) }, subscribe: () => () => undefined },
    publish: (hosts) => {
      told.push(hosts);
      return known;
    },
    log: { info: () => undefined, warn: () => undefined },
    resolve: async () => found,
    random: () => 0.5,
  });
  t.after(() => resolver.stop());
  await resolver.start();
  assert.deepEqual(await resolver.addressesOf('shop.test'), before);

  const workers = Promise.withResolvers<void>();
  [found, known] = [after, workers.promise];
  t.mock.timers.tick(1000);
  await nextTurn();
  assert.deepEqual(told.at(-1), new Map([['shop.test', after]]));
  assert.deepEqual(resolver.known, told.at(-1));
  assert.deepEqual(await resolver.addressesOf('shop.test'), before);
  assert.deepEqual(resolver.statusOf('shop.test')?.addresses, before);

  workers.resolve();
  await nextTurn();
  assert.deepEqual(await resolver.addressesOf('shop.test'), after);
});
