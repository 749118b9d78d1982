/** What is known of one connection: filled in as its story goes, told to the log and to those who watch. */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Identity } from '../domain/identity.ts';
import { formatAddress } from '../domain/model.ts';
import { isRefusal, type Reason } from '../domain/reasons.ts';
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { type ConnectionFacts, connectionId, type Wait } from '../shared/messages.ts';
import { remoteOf, type Source } from './source.ts';
import type { WaitsFor } from './waiting.ts';

/** The fields of the connection's log line. */
export interface Facts {
  /** Given when the connection waits, its server is dialled, or it is refused. */
  id?: string;
  listener: string;
  remote: string;
  /** The proxy that spoke for the client. */
  via?: string;
  identity?: string;
  client?: string;
  sni?: string;
  alpn?: string;
  /** The TLS session is one of before. */
  resumed?: true;
  group?: string;
  server?: string;
  attempts?: number;
  /** For its turn by the rate limit, until it came or it gave up; absent: it did not wait. */
  delayedMs?: number;
  /** In the queue, until it got a place or gave up; absent: it did not wait. */
  queuedMs?: number;
  handshakeMs?: number;
  connectMs?: number;
  bytesUp: number;
  bytesDown: number;
  detail?: string;
}

/** What is known of a connection as it is accepted. */
export function factsOf(raw: Socket, listener: string): Facts {
  return { listener, remote: remoteOf(raw), bytesUp: 0, bytesDown: 0 };
}

/** A proxy that speaks for its client stands beside it. */
export function noteSource({ address, via }: Source, facts: Facts): void {
  if (via === undefined) return;
  facts.remote = formatAddress(address);
  facts.via = via;
}

/** It waits no longer, after so many milliseconds. */
export function noteWaited(kind: WaitsFor, waitedMs: number, facts: Facts): void {
  facts[`${kind}Ms`] = roundMs(waitedMs);
}

/** The connection's id, for who is told it before the connection is served: it has no number in the order of those that are yet. */
export function idBeforeServing(facts: Facts, lane: LaneWriter): string {
  facts.id ??= connectionId(lane.lane, lane.nextNumber());
  return facts.id;
}

/** The connection's number in the order of those that wait, are dialled, are served or are refused, each time anew, from which its id is made unless it has one. */
export function numberOf(facts: Facts, lane: LaneWriter): number {
  const number = lane.nextNumber();
  facts.id ??= connectionId(lane.lane, number);
  return number;
}

/** The connection as watchers and lists see it. `openedAtMs` is milliseconds since 1970; undefined: it was refused, or is not served yet. */
export function connectionFacts(
  facts: Facts,
  number: number,
  identity: Identity | undefined,
  openedAtMs: number | undefined,
  waiting?: Wait,
): ConnectionFacts {
  return {
    id: facts.id ?? '',
    number,
    listener: facts.listener,
    remote: facts.remote,
    via: facts.via ?? '',
    clientId: facts.client ?? '',
    identity: facts.identity ?? '',
    fingerprint: identity?.fingerprint ?? '',
    twins: identity?.twins ?? [],
    group: facts.group ?? '',
    server: facts.server ?? '',
    openedAtMs,
    waiting,
    bytesFromClient: facts.bytesUp,
    bytesToClient: facts.bytesDown,
  };
}

/** One line a connection. Names come from certificates and clients: they are bounded, and JSON escapes what could steer a terminal. */
export function report(reason: Reason, facts: Facts, durationMs: number, log: Logger): void {
  const isRefused = isRefusal(reason);
  if (!log.isLevelEnabled(isRefused ? 'warn' : 'info')) return;
  const line = { reason, ...facts, durationMs: roundMs(durationMs) };
  if (isRefused) log.warn(line, 'connection refused');
  else log.info(line, 'connection closed');
}

/** To a tenth: what a person reads. */
export function roundMs(ms: number): number {
  return Math.round(ms * 10) / 10;
}
