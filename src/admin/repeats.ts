/** The first of what happens again and again, and from then on only how often: so that a flood fills neither log nor audit trail. */

/** What happened again within a spell. */
export interface Repeated<Item> {
  readonly last: Item;
  /** The ones that were told of aside. */
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
}

/** Calls back once after so many milliseconds, unless it is called off. */
export type Schedule = (run: () => void, ms: number) => { cancel(): void };

interface Counted<Item> {
  last: Item;
  count: number;
}

interface Spell<Item> {
  readonly sinceMs: number;
  readonly ms: number;
  readonly known: Map<string, Counted<Item>>;
  /** What came after the bound of different ones; the last of them counts only when there are any. */
  readonly others: Counted<Item>;
  readonly end: { cancel(): void };
}

const SHORTEST_MS = 60_000;
const LONGEST_MS = 3_600_000;
/** Different ones of one actor that are told within a spell. */
const MAX_DIFFERENT = 100;
/** Those that come when there are so many share a spell. */
const MAX_ACTORS = 1000;

/** Tells what is new from what is the same again. A spell is a minute, and twice as long after each that had repetitions, to an hour. */
export class Repeats<Item> {
  readonly #onRepeated: (repeated: Repeated<Item>) => void;
  readonly #schedule: Schedule;
  readonly #nowMs: () => number;
  readonly #spells = new Map<string, Spell<Item>>();

  /** `onRepeated` learns at the end of a spell of each that came again within it. */
  constructor(onRepeated: (repeated: Repeated<Item>) => void, schedule: Schedule = inBackground, nowMs: () => number = Date.now) {
    this.#onRepeated = onRepeated;
    this.#schedule = schedule;
    this.#nowMs = nowMs;
  }

  /** True: `what` is to be told now. False: it is counted, as the actor has done it before, or too much else. */
  isNews(actor: string, what: string, item: Item): boolean {
    const whose = this.#spells.has(actor) || this.#spells.size < MAX_ACTORS ? actor : '';
    const spell = this.#spells.get(whose) ?? this.#begin(whose, SHORTEST_MS, new Map(), item);
    const known = spell.known.get(what);
    if (known === undefined && spell.known.size < MAX_DIFFERENT) {
      spell.known.set(what, { last: item, count: 0 });
      return true;
    }
    const counted = known ?? spell.others;
    counted.last = item;
    counted.count++;
    return false;
  }

  /** Ends every spell now. */
  flush(): void {
    for (const [actor, spell] of this.#spells) {
      spell.end.cancel();
      this.#spells.delete(actor);
      this.#tell(spell);
    }
  }

  #begin(actor: string, ms: number, known: Map<string, Counted<Item>>, first: Item): Spell<Item> {
    const end = this.#schedule(() => this.#end(actor), ms);
    const spell: Spell<Item> = { sinceMs: this.#nowMs(), ms, known, others: { last: first, count: 0 }, end };
    this.#spells.set(actor, spell);
    return spell;
  }

  #end(actor: string): void {
    const spell = this.#spells.get(actor);
    if (spell === undefined) return;
    this.#spells.delete(actor);
    const again = this.#tell(spell);
    // What goes on is not told anew.
    if (again.size > 0 || spell.others.count > 0) this.#begin(actor, Math.min(spell.ms * 2, LONGEST_MS), again, spell.others.last);
  }

  /** Gives those that came again, to be counted from nothing. */
  #tell({ sinceMs, known, others }: Spell<Item>): Map<string, Counted<Item>> {
    const again = [...known].filter(([, { count }]) => count > 0);
    const told = [...again.map(([, counted]) => counted), others];
    for (const { last, count } of told) if (count > 0) this.#onRepeated({ last, count, sinceMs });
    return new Map(again.map(([what, { last }]) => [what, { last, count: 0 }]));
  }
}

function inBackground(run: () => void, ms: number): { cancel(): void } {
  const timer = setTimeout(run, ms).unref();
  return { cancel: () => clearTimeout(timer) };
}
