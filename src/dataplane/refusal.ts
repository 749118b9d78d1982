import type { X509Certificate } from 'node:crypto';
import type { RefusalReason } from '../domain/reasons.ts';

/** How a refused client is told: by a TCP RST, by an orderly TLS close, or by a TCP RST that it has to wait for. */
export type RefusalManner = 'reset' | 'close' | 'hold';

/** Thrown by a step of the story that does not let the connection go on. */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly manner: RefusalManner;

  /** `detail` goes into the connection's log line. */
  constructor(reason: RefusalReason, detail: string, manner: RefusalManner = 'reset') {
    // Nobody reads where it was thrown, and to find out costs more than all the rest of a refusal.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'Refusal';
    this.reason = reason;
    this.manner = manner;
  }
}

/** The refusal of a certificate that OpenSSL does not let pass. */
export class CertificateRefusal extends Refusal {
  /** Whose it is has been proven by one of the listener's CAs, although it is not good any more; undefined: nothing is proven. */
  readonly proven: X509Certificate | undefined;

  constructor(reason: RefusalReason, detail: string, proven: X509Certificate | undefined) {
    super(reason, detail);
    this.name = 'CertificateRefusal';
    this.proven = proven;
  }
}
