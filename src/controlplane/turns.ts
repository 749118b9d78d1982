/** What is long as a whole is done in parts, and the event loop turns between them. */
import { setImmediate } from 'node:timers/promises';

/** Resolves when everything that waits now has had its turn. */
export async function nextTurn(): Promise<void> {
  await setImmediate();
}

/** Gives each item in a turn of its own. */
export async function* inTurns<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) {
    await nextTurn();
    yield item;
  }
}
