import { statSync } from 'node:fs';
import type { StoreConfig } from './config/config.ts';

/** Which file a state is in, whatever its name is where it is looked at; `none` while there is no such file. */
export function stateFileOf(store: StoreConfig): string {
  const found = store.kind === 'memory' ? undefined : statSync(store.path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? 'none' : `${found.dev}:${found.ino}`;
}
