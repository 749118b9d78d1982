import { setInterval } from 'node:timers/promises';
import { DomainError } from '../domain/errors.ts';
import type { Snapshot } from '../domain/model.ts';
import type { AdminServiceServer } from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { msFrom } from './convert-values.ts';
import { type StatsFilter, statsMessages } from './replies.ts';
import { serverStream } from './rpc.ts';
import { refuseUnknownServer } from './service-reads.ts';

const DEFAULT_INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 100;

/** WatchStats: the counters at once, then every interval. A reader that stalls misses ticks; what it reads next is fresh. */
export function watchStats(context: AdminContext): AdminServiceServer['watchStats'] {
  return serverStream(context.log, async ({ interval, ...filter }, replies) => {
    const intervalMs = msFrom(interval, 'interval') ?? DEFAULT_INTERVAL_MS;
    if (intervalMs < MIN_INTERVAL_MS) throw new DomainError('invalid', 'interval', `the interval is at least ${MIN_INTERVAL_MS} ms`);
    refuseUnknown(context.authority.snapshot, filter);
    const sendNow = async () => {
      for (const message of statsMessages(context, filter, new Date())) {
        if (!message.more) replies.send(message);
        else await replies.sendAndWait(message);
      }
    };
    await sendNow();
    for await (const _ of setInterval(intervalMs, undefined, { signal: replies.signal, ref: false })) {
      if (replies.isKeepingUp()) await sendNow();
    }
  });
}

/** A name that fits nothing now is a mistake; one that is removed later just has no more lines. @throws DomainError `not_found` */
function refuseUnknown(snapshot: Snapshot, { targetGroup, server, clientId }: StatsFilter): void {
  refuseUnknownServer(snapshot, targetGroup, server);
  if (clientId !== '' && !snapshot.clients.has(clientId))
    throw new DomainError('not_found', 'clientId', `there is no client "${clientId}"`);
}
