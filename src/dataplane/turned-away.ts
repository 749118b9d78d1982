/** Connections that are refused before anything is done for them: their part of the log, the counters and what watchers see. */
import type { Logger } from 'pino';
import type { RefusalReason } from '../domain/reasons.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { connectionId } from '../shared/messages.ts';
import type { EventFeed } from './event-feed.ts';
import type { View } from './view.ts';

export interface TurnedAway {
  readonly reason: RefusalReason;
  readonly listener: string;
  /** As far as it is known. */
  readonly remote: string;
  /** Asked for where somebody reads it. */
  readonly detail: () => string;
}

export interface TurnedAwayContext {
  readonly lane: LaneWriter;
  readonly events: EventFeed;
  readonly log: Logger;
  readonly view: () => View;
  readonly wallMs: () => number;
}

const UNKNOWN = {
  via: '',
  clientId: '',
  fingerprint: '',
  twins: [],
  identity: '',
  group: '',
  server: '',
  openedAtMs: undefined,
  waiting: undefined,
};

/** Tells of it. */
export function tellTurnedAway({ reason, listener, remote, detail }: TurnedAway, context: TurnedAwayContext): void {
  const { lane, events, log, view, wallMs } = context;
  lane.countReason(reason);
  lane.listeners.countRefused(view().slots.listeners.get(listener));
  const number = lane.nextNumber();
  // Of most of a flood nobody asks for more than its number.
  const facts = () => ({ id: connectionId(lane.lane, number), listener, remote });
  if (log.isLevelEnabled('warn')) {
    log.warn({ reason, ...facts(), bytesUp: 0, bytesDown: 0, detail: detail(), durationMs: 0 }, 'connection refused');
  }
  events.add(() => {
    const connection = { ...facts(), number, ...UNKNOWN, bytesFromClient: 0, bytesToClient: 0 };
    return { kind: 'refused', atMs: wallMs(), connection, reason, detail: detail() };
  });
}
