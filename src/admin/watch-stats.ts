import { setInterval } from 'node:timers/promises';
import { DomainError } from '../domain/errors.ts';
import type { AdminServiceServer } from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { msFrom } from './convert.ts';
import { statsMessage } from './replies.ts';
import { serverStream } from './rpc.ts';

const DEFAULT_INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 100;

/** WatchStats: the counters at once, then every interval. A reader that stalls misses ticks; what it reads next is fresh. */
export function watchStats(context: AdminContext): AdminServiceServer['watchStats'] {
  return serverStream(context.log, async ({ interval }, replies) => {
    const intervalMs = msFrom(interval, 'interval') ?? DEFAULT_INTERVAL_MS;
    if (intervalMs < MIN_INTERVAL_MS) throw new DomainError('invalid', 'interval', `the interval is at least ${MIN_INTERVAL_MS} ms`);
    const sendNow = () => void replies.send(statsMessage(context, new Date()));
    sendNow();
    for await (const _ of setInterval(intervalMs, undefined, { signal: replies.signal, ref: false })) {
      if (replies.isKeepingUp()) sendNow();
    }
  });
}
