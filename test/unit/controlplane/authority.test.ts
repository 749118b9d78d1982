import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Authority, type Change } from '../../../src/controlplane/authority.ts';
import { MemoryStore } from '../../../src/controlplane/store/memory.ts';
import { RevisionConflictError, type StoredChange, StoreUnavailableError } from '../../../src/controlplane/store/store.ts';
import { DomainError } from '../../../src/domain/errors.ts';
import type { Snapshot } from '../../../src/domain/model.ts';
import type { Command } from '../../../src/domain/state.ts';
import { sampleGroup } from '../../support/sample-state.ts';

const addGroup = (name: string): Command => ({ kind: 'addTargetGroup', group: sampleGroup(name) });
const operator = { actor: 'operator' };

describe('the authority', () => {
  it('takes up the state where the store has it', async () => {
    const store = new MemoryStore();
    const first = await Authority.open(store);
    assert.deepEqual([first.snapshot.revision, first.changedAtRunTime], [0, false]);
    await first.execute(addGroup('web'), operator);
    const second = await Authority.open(store);
    assert.deepEqual(second.snapshot, first.snapshot);
    assert.deepEqual([second.snapshot.revision, second.changedAtRunTime], [1, true]);
  });

  it('refuses changes while another process has the state, after the one under way', async () => {
    const authority = await Authority.open(new SlowStore());
    const underWay = authority.execute(addGroup('web'), operator);
    await authority.suspend('another has the state');
    assert.deepEqual([...authority.snapshot.targetGroups.keys()], ['web']);
    await underWay;
    await assert.rejects(authority.execute(addGroup('late'), operator), new StoreUnavailableError('another has the state'));
    authority.resume();
    await authority.execute(addGroup('later'), operator);
    assert.deepEqual([...authority.snapshot.targetGroups.keys()], ['web', 'later']);
  });

  it('makes ready what a change needs before it is kept, and takes that back when it cannot be', async () => {
    const told: string[] = [];
    const store = new MemoryStore();
    const prepare = async (_: Snapshot, next: Snapshot) => {
      told.push(`ready for ${next.revision}`);
      if (next.targetGroups.has('refused')) throw new DomainError('invalid', 'listeners', 'no');
      return () => void told.push(`back from ${next.revision}`);
    };
    const authority = await Authority.open(store, { prepare });
    await authority.execute(addGroup('web'), operator);
    await assert.rejects(authority.execute(addGroup('refused'), operator), DomainError);
    store.compareAndSet = () => Promise.reject(new StoreUnavailableError('full'));
    await assert.rejects(authority.execute(addGroup('lost'), operator), StoreUnavailableError);
    assert.deepEqual(told, ['ready for 1', 'ready for 2', 'ready for 2', 'back from 2']);
    assert.equal(authority.snapshot.revision, 1);
  });

  it('makes changes that come at the same time one after the other, and tells of them in order', async () => {
    const authority = await Authority.open(new SlowStore());
    const told: Change[] = [];
    authority.subscribe((change) => void told.push(change));
    const names = Array.from({ length: 20 }, (_, index) => `group-${index}`);
    const accepted = await Promise.all(names.map((name) => authority.execute(addGroup(name), operator)));
    const revisions = names.map((_, index) => index + 1);
    assert.deepEqual(
      accepted.map(({ revision }) => revision),
      revisions,
    );
    assert.deepEqual([...authority.snapshot.targetGroups.keys()], names);
    assert.deepEqual(
      told.map(({ previous, next }) => [previous.revision, next.revision]),
      revisions.map((revision) => [revision - 1, revision]),
    );
  });

  it('lets one of two changes decided on the same revision pass', async () => {
    const authority = await Authority.open(new SlowStore());
    const outcomes = await Promise.allSettled(
      ['web', 'db'].map((name) => authority.execute(addGroup(name), { ...operator, expectedRevision: 0 })),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    await assert.rejects(authority.execute(addGroup('db'), { ...operator, expectedRevision: 0 }), (error) => {
      assert.ok(error instanceof RevisionConflictError);
      assert.deepEqual([error.expected, error.actual], [0, 1]);
      return true;
    });
    assert.deepEqual([...authority.snapshot.targetGroups.keys()], ['web']);
  });

  it('answers a request id that it has accepted with the revision of then, though the state has moved on', async () => {
    const authority = await Authority.open(new MemoryStore());
    const intent = { ...operator, requestId: 'once', expectedRevision: 0 };
    assert.deepEqual(await authority.execute(addGroup('web'), intent), { revision: 1, replayed: false, unchanged: false });
    await authority.execute(addGroup('db'), operator);
    assert.deepEqual(await authority.execute(addGroup('web'), intent), { revision: 1, replayed: true, unchanged: false });
    assert.equal(authority.snapshot.revision, 2);
  });

  it('lets a refused request id be used again', async () => {
    const authority = await Authority.open(new MemoryStore());
    await authority.execute(addGroup('web'), operator);
    await assert.rejects(authority.execute(addGroup('web'), { ...operator, requestId: 'again' }), DomainError);
    assert.deepEqual(await authority.execute(addGroup('db'), { ...operator, requestId: 'again' }), {
      revision: 2,
      replayed: false,
      unchanged: false,
    });
  });

  it('changes nothing and tells nobody when the store cannot keep the change, and goes on when it can', async () => {
    const store = new SlowStore();
    const authority = await Authority.open(store);
    await authority.execute(addGroup('web'), operator);
    const before = authority.snapshot;
    let told = 0;
    authority.subscribe(() => void told++);
    store.full = true;
    await assert.rejects(authority.execute(addGroup('db'), operator), StoreUnavailableError);
    assert.equal(authority.snapshot, before);
    assert.equal(told, 0);
    store.full = false;
    assert.deepEqual(await authority.execute(addGroup('db'), operator), { revision: 2, replayed: false, unchanged: false });
    assert.equal(told, 1);
  });

  it('refuses what there is no room for before it reaches the store, at start and later', async () => {
    const store = new MemoryStore();
    const vet = ({ targetGroups }: Snapshot) => {
      if (targetGroups.size > 1) throw new DomainError('exhausted', 'targetGroups', 'no room');
    };
    const authority = await Authority.open(store, { vet });
    await authority.execute(addGroup('web'), operator);
    await assert.rejects(authority.execute(addGroup('db'), operator), /^DomainError: no room$/);
    assert.equal(authority.snapshot.revision, 1);
    assert.equal((await store.load())?.snapshot.revision, 1);
    await (await Authority.open(store)).execute(addGroup('db'), operator);
    await assert.rejects(Authority.open(store, { vet }), /^DomainError: no room$/);
  });

  it('accepts a change although a subscriber fails, and tells the others', async () => {
    const authority = await Authority.open(new MemoryStore());
    const told: number[] = [];
    authority.subscribe(() => {
      throw new Error('broken at once');
    });
    authority.subscribe(() => Promise.reject(new Error('broken later')));
    authority.subscribe(({ next }) => void told.push(next.revision));
    assert.equal((await authority.execute(addGroup('web'), operator)).revision, 1);
    assert.equal((await authority.execute(addGroup('db'), operator)).revision, 2);
    assert.deepEqual(told, [1, 2]);
  });

  it('acknowledges a change when every subscriber is done with it', async () => {
    const authority = await Authority.open(new MemoryStore());
    const published = Promise.withResolvers<void>();
    const heard = Promise.withResolvers<void>();
    authority.subscribe(() => {
      heard.resolve();
      return published.promise;
    });
    let acknowledged = false;
    const change = authority.execute(addGroup('web'), operator).then(() => {
      acknowledged = true;
    });
    await heard.promise;
    assert.equal(acknowledged, false);
    assert.equal(authority.snapshot.revision, 1);
    published.resolve();
    await change;
  });

  it('stops telling a subscriber that has left', async () => {
    const authority = await Authority.open(new MemoryStore());
    let told = 0;
    const leave = authority.subscribe(() => void told++);
    await authority.execute(addGroup('web'), operator);
    leave();
    await authority.execute(addGroup('db'), operator);
    assert.equal(told, 1);
  });
});

/** Takes its time, so that changes overlap if they can; and has no room when told so. */
class SlowStore extends MemoryStore {
  full = false;

  override async compareAndSet(expected: number, change: StoredChange, next: Snapshot): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.full) throw new StoreUnavailableError('there is no room left');
    return super.compareAndSet(expected, change, next);
  }
}
