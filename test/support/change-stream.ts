/** An endless stream of changes in which each is known from its revision alone: whoever has the revision can say what the state must be. */
import { NO_LIMITS } from '../../src/domain/defaults.ts';
import type { Snapshot } from '../../src/domain/model.ts';
import { apply, type Command } from '../../src/domain/state.ts';
import { sampleClient, sampleGroup, sampleServer } from './sample-state.ts';

/** The changes that each group goes through; the last takes away the group of so many rounds before. */
const STEPS = 8;
const GROUPS_KEPT = 5;

/** The change that makes this revision. */
export function changeThatMakes(revision: number): Command {
  const round = Math.floor((revision - 1) / STEPS);
  const group = `group-${round}`;
  const address = `10.0.0.1:${8000 + round}`;
  const other = `10.0.0.2:${8000 + round}`;
  const client = sampleClient(`client-${round}`, [group]);
  switch ((revision - 1) % STEPS) {
    case 0:
      return { kind: 'addTargetGroup', group: sampleGroup(group, [address]) };
    case 1:
      return { kind: 'addUpstreamServer', group, server: sampleServer(other) };
    case 2:
      return { kind: 'addClient', client };
    case 3:
      return { kind: 'setUpstreamServer', group, server: sampleServer(address, { weight: 7, mode: 'drain' }) };
    case 4:
      return { kind: 'updateClient', client: { ...client, limits: { ...NO_LIMITS, concurrentConnections: 5 } } };
    case 5:
      return { kind: 'removeClient', clientId: client.clientId };
    case 6:
      return { kind: 'removeUpstreamServer', group, address: other };
    default:
      if (round < GROUPS_KEPT) return { kind: 'updateTargetGroup', group: sampleGroup(group, [], { algorithm: 'random' }) };
      return { kind: 'removeTargetGroup', name: `group-${round - GROUPS_KEPT}` };
  }
}

/** The state that the stream has made of `snapshot` once it is at `revision`. */
export function stateAfter(snapshot: Snapshot, revision: number): Snapshot {
  let state = snapshot;
  while (state.revision < revision) state = apply(state, changeThatMakes(state.revision + 1));
  return state;
}
