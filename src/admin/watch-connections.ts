import { once } from 'node:events';
import { status as Code } from '@grpc/grpc-js';
import { MAX_WAITING, type WatchItem } from '../controlplane/connection-watch.ts';
import { type AdminServiceServer, WatchConnectionsResponse_Kind as Kind, WatchConnectionsResponse } from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { AdminError } from './errors.ts';
import { serverStream } from './rpc.ts';
import { connectionMessage, reasonFrom, selectorFrom } from './service-connections.ts';

/** WatchConnections: the connections as they are, SYNCED, then each that is opened, closed or refused, at the reader's pace. */
export function watchConnections({ connections, log }: AdminContext): AdminServiceServer['watchConnections'] {
  return serverStream(log, async ({ filter }, replies) => {
    const reader = connections.watch({ selector: selectorFrom(filter), reason: reasonFrom(filter?.reason ?? '') });
    let mayWrite = true;
    const pump = () => {
      while (mayWrite) {
        const item = reader.next();
        if (item === undefined) return;
        mayWrite = replies.send(messageOf(item));
      }
    };
    replies.onDrain(() => {
      mayWrite = true;
      pump();
    });
    reader.onNews(pump);
    pump();
    try {
      const left = replies.signal.aborted ? undefined : once(replies.signal, 'abort').then(() => undefined);
      const failure = await Promise.race([reader.failed, left]);
      if (failure === 'slow_reader') throw slowReader();
      if (failure === 'worker_lost') throw workerLost();
    } finally {
      reader.close();
    }
  });
}

function messageOf(item: WatchItem): WatchConnectionsResponse {
  switch (item.kind) {
    case 'state': {
      const kind = item.connection.waiting === undefined ? Kind.STATE : Kind.WAITING;
      return WatchConnectionsResponse.fromPartial({ kind, connection: connectionMessage(item.connection) });
    }
    case 'synced':
      return WatchConnectionsResponse.fromPartial({ kind: Kind.SYNCED, at: new Date(item.atMs) });
    case 'opened':
    case 'waiting': {
      const kind = item.kind === 'opened' ? Kind.OPENED : Kind.WAITING;
      return { kind, connection: connectionMessage(item.connection), reason: '', detail: '', at: new Date(item.atMs) };
    }
    case 'closed':
    case 'refused': {
      const { connection, reason, detail, atMs } = item;
      const kind = item.kind === 'closed' ? Kind.CLOSED : Kind.REFUSED;
      return { kind, connection: connectionMessage(connection), reason, detail, at: new Date(atMs) };
    }
  }
}

function slowReader(): AdminError {
  const problem = `the reader, or the whole of this process, is more than ${MAX_WAITING} events behind`;
  return new AdminError(Code.RESOURCE_EXHAUSTED, 'SLOW_READER', `${problem}; watch again, with a narrower filter or a quicker reader`);
}

function workerLost(): AdminError {
  return new AdminError(
    Code.UNAVAILABLE,
    'WORKER_LOST',
    'a worker died, and the connections it had are gone; watch again to begin with the state',
  );
}
