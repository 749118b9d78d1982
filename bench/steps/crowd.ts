/** A worker's view of a state with many clients. */
import { LimiterCells } from '../../src/controlplane/limiter-cells.ts';
import { View } from '../../src/dataplane/view.ts';
import { type Client, EMPTY_SNAPSHOT, type Listener } from '../../src/domain/model.ts';
import { monotonicMs } from '../../src/shared/clock.ts';
import type { LaneWriter } from '../../src/shared/memory/lane-writer.ts';
import { sampleClient, sampleGroup, sampleListener } from '../../test/support/sample-state.ts';

/** Where all clients are let. */
export const GROUP = 'web';
export const LISTENER = 'main';

const REVISION = 1;

/** So many clients, the first named `client-0`, with what `changes` says of each. */
export function crowdOf(size: number, changes: (index: number) => Partial<Client>): readonly Client[] {
  return Array.from({ length: size }, (_, index) => sampleClient(`client-${index}`, [GROUP], changes(index)));
}

/** The view; what `listener` says is of the only listener. */
export function viewOf(clients: readonly Client[], lane: LaneWriter, listener: Partial<Listener> = {}): View {
  const cells = new LimiterCells(monotonicMs);
  const limiters = clients.flatMap((client) => {
    const memory = cells.follow(client, REVISION);
    return memory === undefined ? [] : [[client.clientId, memory] as const];
  });
  const snapshot = {
    ...EMPTY_SNAPSHOT,
    revision: REVISION,
    listeners: [sampleListener(LISTENER, listener)],
    targetGroups: new Map([[GROUP, sampleGroup(GROUP)]]),
    clients: new Map(clients.map((client) => [client.clientId, client])),
  };
  const slots = new Map(clients.map(({ clientId }, index) => [clientId, index]));
  return new View(
    snapshot,
    { servers: new Map(), groups: new Map([[GROUP, 0]]), listeners: new Map(), clients: slots, limiters: new Map(limiters) },
    lane,
  );
}
