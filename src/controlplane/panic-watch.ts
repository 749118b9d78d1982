import { changedGroups } from '../domain/changed-groups.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../domain/model.ts';
import { isInPanic } from '../domain/panic.ts';
import type { SharedLedger } from '../shared/memory/ledger.ts';
import type { Subscriber } from './authority.ts';
import type { HealthLog } from './health-checker.ts';
import { OnceATurn } from './once-a-turn.ts';
import type { Slots } from './slots.ts';

/** What the watch needs around it. */
export interface PanicWatchParts {
  readonly authority: { readonly snapshot: Snapshot; subscribe(subscriber: Subscriber): () => void };
  readonly ledger: SharedLedger;
  readonly slots: Slots;
  readonly log: HealthLog;
}

/** Tells the workers which groups have so few healthy servers left that health is not looked at (panicThreshold). */
export class PanicWatch {
  readonly #parts: PanicWatchParts;
  readonly #changed = new OnceATurn((group) => this.#judge(group));
  #unsubscribe: () => void = () => undefined;

  constructor(parts: PanicWatchParts) {
    this.#parts = parts;
  }

  /** Follows changes of state from now on; subscribe what assigns slots before. */
  start(): void {
    this.#unsubscribe = this.#parts.authority.subscribe(({ previous, next }) => this.#follow(previous, next));
    this.#follow(EMPTY_SNAPSHOT, this.#parts.authority.snapshot);
  }

  stop(): void {
    this.#unsubscribe();
  }

  /** The health of a server of this group is another, or whether it is ejected. */
  note(group: string): void {
    this.#changed.note(group);
  }

  isInPanic(group: string): boolean {
    const slot = this.#parts.slots.groupSlot(group);
    return slot !== undefined && this.#parts.ledger.outliers.isInPanic(slot);
  }

  #follow(previous: Snapshot, next: Snapshot): void {
    for (const { name, after } of changedGroups(previous, next)) if (after !== undefined) this.note(name);
  }

  #judge(name: string): void {
    const { authority, ledger, slots, log } = this.#parts;
    const group = authority.snapshot.targetGroups.get(name);
    const groupSlot = slots.groupSlot(name);
    if (group === undefined || groupSlot === undefined) return;
    const standings = group.servers.map(({ address, mode, weight }) => {
      const slot = slots.serverSlot(name, address);
      const isDown = slot !== undefined && (ledger.health(slot) === 'unhealthy' || ledger.outliers.isEjected(slot));
      return { slot, isWanted: mode === 'ready' && weight > 0, isDown };
    });
    const isNow = isInPanic(standings, group.panicThreshold);
    if (isNow === ledger.outliers.isInPanic(groupSlot)) return;
    ledger.setPanic(groupSlot, isNow, standings[0]?.slot);
    const fields = { group: name, panicThreshold: group.panicThreshold };
    if (isNow) log.warn(fields, 'target group is in panic: too few of its servers are healthy, all of them take connections');
    else log.info(fields, 'target group is no longer in panic');
  }
}
