import { EndReminders, endReminder, type TlsEnd } from './domain/tls-ends.ts';

/** How often lbd looks whether something ends soon: the line about an end is as near to it. */
const LOOK_EVERY_MS = 60_000;

export interface EndWatchParts {
  /** Of everything that is in force at `nowMs`. */
  readonly ends: (nowMs: number) => readonly TlsEnd[];
  readonly log: Readonly<Record<'warn' | 'error', (facts: object, message: string) => void>>;
  /** Milliseconds since 1970; the wall clock unless given. */
  readonly nowMs?: () => number;
}

/** Warns while lbd runs of certificates, OCSP responses and revocation lists that end soon, and says as an error when they have; call what it returns to end it. */
export function watchEnds({ ends, log, nowMs = Date.now }: EndWatchParts): () => void {
  const reminders = new EndReminders();
  const look = () => {
    const now = nowMs();
    for (const end of reminders.due(ends(now), now)) {
      const { usedBy, file } = end;
      log[end.endsAtMs > now ? 'warn' : 'error']({ usedBy, file }, endReminder(end, now));
    }
  };
  look();
  const timer = setInterval(look, LOOK_EVERY_MS).unref();
  return () => clearInterval(timer);
}
