/** How an old state came about, as text: reading it takes long, so it can be handed to another thread as it is. */
import { EMPTY_SNAPSHOT, type Snapshot } from '../../domain/model.ts';
import { apply } from '../../domain/state.ts';
import { decodeCommand, decodeSnapshot } from './codec.ts';

/** A kept state and the changes that were made to it, as the codec writes them. */
export interface Recorded {
  /** undefined: the empty state. */
  readonly snapshot: string | undefined;
  readonly commands: readonly string[];
}

/** The state that was recorded. @throws DecodeError, or DomainError, when no authority can have made it */
export function replayed({ snapshot, commands }: Recorded): Snapshot {
  const base = snapshot === undefined ? EMPTY_SNAPSHOT : decodeSnapshot(snapshot);
  return commands.reduce((state, command) => apply(state, decodeCommand(command)), base);
}
