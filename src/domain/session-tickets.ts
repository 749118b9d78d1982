/**
 * When a TLS session may be resumed with a ticket (RFC 5077, RFC 8446 section 4.6.1). A session carries the verdict on its client's
 * certificate along, so a ticket counts only as long as nothing can have changed that verdict.
 */

/**
 * A session may be resumed for so long after the handshake in which the client proved its key, and a key makes tickets for so long.
 * Resuming does not make a session last longer.
 */
export const SESSION_LIFETIME_MS = 7_200_000;

export interface TicketKey {
  /** 48 bytes, divided as in the option `ticketKeys` of Node.js: 16 of name, 16 of HMAC key, 16 of AES key. */
  readonly bytes: Uint8Array;
  /** Milliseconds since 1970. */
  readonly madeAtMs: number;
}

/** What the workers of a listener need to give and take each other's tickets; other certificates or another CA come with other keys. */
export interface SessionTickets {
  /** The newest, which new tickets are made with, first. */
  readonly keys: readonly TicketKey[];
  /**
   * When the verdict on a client certificate may turn while the files stay as they are, in milliseconds since 1970: a CA's certificate
   * or a revocation list begins or ends.
   */
  readonly turningPointsMs: readonly number[];
}

/** The tickets with one more key, and without those keys that no session can be of any more. */
export function withKey({ keys, turningPointsMs }: SessionTickets, fresh: TicketKey): SessionTickets {
  const oldestMs = fresh.madeAtMs - 2 * SESSION_LIFETIME_MS;
  return { keys: [fresh, ...keys.filter(({ madeAtMs }) => madeAtMs > oldestMs)], turningPointsMs };
}

/** False for a key that may have made tickets before the last turning point. */
export function isHonoured({ madeAtMs }: TicketKey, turningPointsMs: readonly number[], nowMs: number): boolean {
  return turningPointsMs.every((turnMs) => turnMs < madeAtMs || nowMs < turnMs);
}
