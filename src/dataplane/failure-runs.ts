import type { TargetGroup } from '../domain/model.ts';
import type { OutlierCells } from '../shared/memory/outlier-cells.ts';
import type { FailingServer } from '../shared/messages.ts';
import { type Dial, DialError } from './upstream.ts';

/**
 * Dials, and counts failures in a row of each server over all workers. At the group's threshold, and at each multiple of it while
 * the server is let be, one worker tells. Neither a client that has left nor a shortage of our own counts against a server.
 */
export function countingFailures(
  dial: Dial,
  { name, outlierDetection }: TargetGroup,
  cells: OutlierCells,
  tell: (failing: FailingServer) => void,
): Dial {
  const { consecutiveFailures } = outlierDetection;
  if (consecutiveFailures === 0) return dial;
  return async (server, timeoutMs, gone) => {
    try {
      const socket = await dial(server, timeoutMs, gone);
      cells.endFailures(server.slot);
      return socket;
    } catch (error) {
      if (error instanceof DialError && error.reason !== 'client_gone' && !error.isLocal) {
        const failures = cells.countFailure(server.slot);
        if (failures % consecutiveFailures === 0)
          tell({ group: name, server: server.address, slot: server.slot, failures, cause: error.message });
      }
      throw error;
    }
  };
}
