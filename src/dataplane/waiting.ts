import type { Wait } from '../shared/messages.ts';
import { Refusal } from './refusal.ts';

/** What a connection waits for before a server is dialled: its turn, or a place. */
export type WaitsFor = Exclude<Wait['kind'], 'connecting'>;

/** What a connection has to do with a wait, for its departure or for a place. */
export interface Waiting {
  /** The client has left. */
  readonly gone: AbortSignal;
  /** @throws Refusal when the certificate is not trusted any more */
  readonly stillTrusted: () => Promise<void>;
  /** It waits from now on; whoever is told may end that. */
  readonly onWaits: (refuse: (refusal: Refusal) => void) => void;
  /** For how many milliseconds it waited, in vain or not. */
  readonly onWaited: (ms: number) => void;
}

/** Judges the certificates of those who wait anew, one after the other, and tells `refuse` of those that are not trusted any more. */
export async function judgeAnew<W extends Pick<Waiting, 'stillTrusted'>>(
  waiters: Iterable<W>,
  refuse: (waiter: W, refusal: Refusal) => void,
): Promise<void> {
  // Some leave while others are judged.
  for (const waiter of [...waiters]) {
    try {
      await waiter.stillTrusted();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refuse(waiter, error);
    }
  }
}
