/** A worker program for tests of how workers die: it serves nobody, and does what the client id of a close message says. */
import { parentPort, workerData } from 'node:worker_threads';
import { CellLock } from '../../src/shared/memory/cell-lock.ts';
import { LaneWriter } from '../../src/shared/memory/lane-writer.ts';
import type { FromWorker, ToWorker, WorkerBirth } from '../../src/shared/messages.ts';

/** A worker that is born with a listener of this name dies of it. */
export const DIES_AT_BIRTH = 'dies at birth';

export type Order = 'throw' | 'hold the server' | 'die in the lock' | 'take the lock';

function lockOf({ slots }: WorkerBirth): CellLock {
  const buffer = slots.limiters.get('clientA');
  if (buffer === undefined) throw new Error('clientA came without limiter cells');
  return new CellLock(buffer);
}

/** How many connections it says that it has closed: 1 when the order was carried out. */
function obey(order: string | undefined, birth: WorkerBirth): number {
  switch (order) {
    case 'throw':
      throw new Error('told to');
    case 'hold the server':
      return new LaneWriter(birth.memory, birth.lane).reserveServer(birth.slots.servers.get('web/127.0.0.1:8081') ?? -1, 0) ? 1 : 0;
    case 'die in the lock':
      // process.exit ends the thread where it stands, with the lock in its hand.
      return lockOf(birth).withLock(birth.lane, () => process.exit()) ?? 0;
    case 'take the lock':
      return lockOf(birth).withLock(birth.lane, () => 1) ?? 0;
    default:
      return 0;
  }
}

if (parentPort !== null) {
  const port = parentPort;
  // What Workers sends as workerData.
  const birth = workerData as WorkerBirth;
  const send = (message: FromWorker) => port.postMessage(message);
  if (birth.snapshot.listeners.some(({ name }) => name === DIES_AT_BIRTH)) throw new Error('born to die');
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'refuseWaiting') send({ kind: 'done', requestId: message.requestId, count: 0 });
    if (message.kind === 'close')
      send({ kind: 'ended', requestId: message.requestId, served: obey(message.selector.clientId, birth), waiting: 0 });
    if (message.kind === 'publish') throw new Error('cannot apply it');
    if (message.kind === 'drain') send({ kind: 'drained', reset: 0 });
  });
  send({ kind: 'listening', ports: new Map() });
}
