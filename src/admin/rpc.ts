/** What every method has in common: who calls, how an error becomes a status, how a stream ends, what goes into the log. */
import type { handleServerStreamingCall, handleUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { type Caller, callerOf } from './caller.ts';
import { INTERNAL_ERROR, type Refusal, refusalOf, statusOf } from './errors.ts';

/** Makes a gRPC method of a function that returns the answer or throws. */
export function unary<Request, Response>(
  log: Logger,
  answer: (request: Request, caller: Caller) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const caller = callerOf(call, call.getPath(), call.request);
    const answered = async () => answer(call.request, caller);
    answered().then(
      (response) => callback(null, response),
      (error: unknown) => callback(statusOf(refusal(log, call.getPath(), error))),
    );
  };
}

/** The stream of answers to one reader. */
export interface Replies<Response> {
  /** Aborted when the reader has gone or the stream has ended. */
  readonly signal: AbortSignal;
  /** True while everything sent so far has been taken: a reader that stalls is sent no more than it is behind already. */
  isKeepingUp(): boolean;
  /** False: the buffer is full; go on at `onDrain`. Sends nothing after `signal` is aborted. */
  send(response: Response): boolean;
  /** Sends, and resolves when it has been taken, or `signal` is aborted. */
  sendAndWait(response: Response): Promise<void>;
  onDrain(listener: () => void): void;
}

/** Makes a gRPC method of a function that sends answers; the stream ends when it returns, or with the error that it throws. */
export function serverStream<Request, Response>(
  log: Logger,
  answer: (request: Request, replies: Replies<Response>, caller: Caller) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const caller = callerOf(call, call.getPath(), call.request);
    const left = new AbortController();
    call.on('cancelled', () => left.abort());
    answer(call.request, repliesTo(call, left.signal), caller).then(
      () => call.end(),
      (error: unknown) => {
        if (!left.signal.aborted) call.emit('error', statusOf(refusal(log, call.getPath(), error)));
      },
    );
  };
}

function repliesTo<Response>(call: ServerWritableStream<unknown, Response>, signal: AbortSignal): Replies<Response> {
  return {
    signal,
    isKeepingUp: () => call.writableLength === 0,
    send: (response) => !signal.aborted && call.write(response),
    sendAndWait: async (response) => {
      const { promise: taken, resolve } = Promise.withResolvers<void>();
      const leave = () => resolve();
      signal.addEventListener('abort', leave);
      if (signal.aborted) leave();
      else call.write(response, leave);
      await taken;
      signal.removeEventListener('abort', leave);
    },
    onDrain: (listener) => void call.on('drain', listener),
  };
}

function refusal(log: Logger, path: string, error: unknown): Refusal {
  const known = refusalOf(error);
  if (known === undefined) log.error({ err: error, method: path }, 'admin method failed');
  return known ?? INTERNAL_ERROR;
}
