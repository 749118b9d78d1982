/** A thread that asks for the lock of the limiter cells it is born with, and says whether it could decide or they have moved. */
import { parentPort, workerData } from 'node:worker_threads';
import { CellLock } from '../../src/shared/memory/cell-lock.ts';
import type { SharedMemory } from '../../src/shared/memory/layout.ts';

/** What the thread says. */
export type Found = 'decided' | 'moved';

// What the test sends as workerData.
const found: Found = new CellLock(workerData as SharedMemory).withLock(1, () => 'decided' as const) ?? 'moved';
parentPort?.postMessage(found);
