/** A server stream that outlives its connection: lbd restarts, the network fails, and the watch goes on. */
import { setTimeout as delay } from 'node:timers/promises';
import { status as Status } from '@grpc/grpc-js';
import { type Connection, connect } from './connection.ts';
import { CliError, EXIT } from './errors.ts';
import type { Settings } from './settings.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

export interface ResumableStream<Response> {
  /** Already made; whoever made it closes it. */
  readonly connection: Connection;
  readonly settings: Settings;
  readonly signal: AbortSignal;
  /** False: what ends the stream ends the watch. */
  readonly reconnect: boolean;
  /** Called for each connection; it asks for what is missing since the last message. */
  readonly open: (connection: Connection, signal: AbortSignal) => AsyncIterable<Response>;
  /** The server no longer knows the place to go on from (COMPACTED, FUTURE_REVISION): ask for everything the next time. False: there was none. */
  readonly startOver: () => boolean;
  /** What no message makes up for once the connection is there again, as the end of a sentence; undefined: nothing is missed. */
  readonly missed?: string | undefined;
  /** What the one who watches should know: the connection was lost, or is there again. */
  readonly notify: (text: string) => void;
  /** Resolves after this time, or rejects when the signal aborts. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
  readonly reconnectWith?: (settings: Settings) => Promise<Connection>;
}

/** The messages of every connection in a row, until the server ends the stream or the signal aborts. Throws a CliError. */
export async function* resuming<Response>(stream: ResumableStream<Response>): AsyncGenerator<Response, void, undefined> {
  const { settings, signal, notify, missed, pause = pauseFor, reconnectWith = connect } = stream;
  let own: Connection | undefined;
  let failures = 0;
  try {
    for (;;) {
      try {
        if (failures > 0) own = await unlessAborted(reconnectWith(settings), signal);
        for await (const message of stream.open(own ?? stream.connection, signal)) {
          if (failures > 0) notify(`connected to ${settings.addr} again${missed === undefined ? '' : `; ${missed}`}`);
          failures = 0;
          yield message;
        }
        return;
      } catch (error) {
        if (signal.aborted) return;
        const problem = stream.reconnect ? recoverable(error, stream.startOver) : undefined;
        if (problem === undefined) throw error;
        if (failures === 0) notify(problem);
        failures++;
      }
      own?.close();
      own = undefined;
      await pause(Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS), signal).catch(() => undefined);
      if (signal.aborted) return;
    }
  } finally {
    own?.close();
  }
}

/** What to tell about an error after which trying again makes sense; undefined after any other. */
function recoverable(error: unknown, startOver: () => boolean): string | undefined {
  if (!(error instanceof CliError)) return undefined;
  if (error.exitCode === EXIT.unreachable || error.status === Status.UNAVAILABLE) return `${error.message}; trying again`;
  if (error.status === Status.RESOURCE_EXHAUSTED) return `${error.message}; going on from there`;
  if (error.status === Status.OUT_OF_RANGE && startOver()) {
    const why =
      error.reason === 'FUTURE_REVISION'
        ? 'the server has not reached the revision seen last, so it is another one or its clock went back'
        : 'the server no longer keeps all that came since';
    return `changes may have been missed: ${why}; the state as it is now follows`;
  }
  return undefined;
}

const pauseFor = (ms: number, signal: AbortSignal) => delay(ms, undefined, { signal });

/** Rejects as soon as the signal aborts; a connection that is made after that is closed. */
async function unlessAborted(connecting: Promise<Connection>, signal: AbortSignal): Promise<Connection> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => {
    reject(signal.reason);
    connecting.then(
      (connection) => connection.close(),
      () => undefined,
    );
  };
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  try {
    return await Promise.race([connecting, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
