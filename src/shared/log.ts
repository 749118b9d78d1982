import type { LoggerOptions } from 'pino';
import { stdTimeFunctions } from 'pino';
import type { LogLevel } from '../domain/model.ts';

/** How every thread writes its lines: the level as a word, the time in ISO 8601, no process id or host name. */
export function logOptions(level: LogLevel): LoggerOptions {
  return { level, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } };
}
