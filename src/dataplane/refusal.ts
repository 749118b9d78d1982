import type { RefusalReason } from '../domain/reasons.ts';

/** How a refused client is told: by a TCP RST, or by an orderly TLS close. */
export type RefusalManner = 'reset' | 'close';

/** Thrown by a step of the story that does not let the connection go on. */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly manner: RefusalManner;

  /** `detail` goes into the connection's log line. */
  constructor(reason: RefusalReason, detail: string, manner: RefusalManner = 'reset') {
    super(detail);
    this.name = 'Refusal';
    this.reason = reason;
    this.manner = manner;
  }
}
