import { type Logger, pino } from 'pino';
import type { LogLevel } from '../domain/model.ts';
import { logOptions } from '../shared/log.ts';

/**
 * A worker's log. Lines are sent to the main thread, which alone writes: so lines of several workers never run into each
 * other, and a reader that stalls does not stall connections. Lines of one turn of the event loop travel together.
 */
export function createWorkerLog(level: LogLevel, send: (lines: readonly string[]) => void): Logger {
  let waiting: string[] = [];
  const flush = () => {
    const lines = waiting;
    waiting = [];
    send(lines);
  };
  const write = (line: string) => {
    if (waiting.push(line) === 1) setImmediate(flush);
  };
  return pino(logOptions(level), { write });
}
