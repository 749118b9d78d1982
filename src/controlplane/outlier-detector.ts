import { isAgentDown } from '../domain/agent-report.ts';
import { changedGroups } from '../domain/changed-groups.ts';
import { EMPTY_SNAPSHOT, type Snapshot, type TargetGroup, type UpstreamServer } from '../domain/model.ts';
import { endEjection, judgeFailures, NEVER_EJECTED, type Outlier, type Sparing } from '../domain/outliers.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { SharedLedger } from '../shared/memory/ledger.ts';
import type { FailingServer } from '../shared/messages.ts';
import type { Subscriber } from './authority.ts';
import type { HealthLog } from './health-checker.ts';
import type { HealthJournal } from './health-journal.ts';
import { OnceATurn } from './once-a-turn.ts';
import type { Slots } from './slots.ts';

/** What the detector needs around it. The clocks are the real ones unless given. */
export interface OutlierDetectorParts {
  readonly authority: { readonly snapshot: Snapshot; subscribe(subscriber: Subscriber): () => void };
  readonly ledger: SharedLedger;
  readonly slots: Slots;
  readonly journal: HealthJournal;
  readonly log: HealthLog;
  /** Called after a server of the group was ejected or came back. */
  readonly onChange: (group: string) => void;
  /** The monotonic clock of shared memory. */
  readonly nowMs?: () => number;
  /** Milliseconds since 1970. */
  readonly wallMs?: () => number;
}

/** What is known of a server's ejections, for listings. */
export interface EjectionStatus {
  /** Milliseconds since 1970; undefined: it is not ejected. */
  readonly ejectedUntilMs: number | undefined;
  /** Since it was added. */
  readonly ejections: number;
  /** Why it was ejected last. */
  readonly cause: string;
  /** Connects that have failed in a row, over all workers. */
  readonly failuresInARow: number;
}

/** A server that has failed often enough to be remembered. */
interface Tracked {
  readonly group: string;
  readonly server: string;
  readonly slot: number;
  outlier: Outlier;
  /** Its ejection by the wall clock. */
  ejectedUntilMs: number | undefined;
  cause: string;
  /** Why it was let be when it last failed often enough; undefined: it was ejected. */
  spared: Sparing | undefined;
  /** Until its ejection ends. */
  timer: NodeJS.Timeout | undefined;
}

/**
 * Ejects servers to which connections fail, as outlierDetection of their group says, and lets them back. Workers count, in shared
 * memory, and this decides. As in Envoy, live connections go on, and a good probe does not end an ejection.
 */
export class OutlierDetector {
  readonly #parts: OutlierDetectorParts;
  readonly #nowMs: () => number;
  readonly #wallMs: () => number;
  /** Group -> server -> what is remembered of it. */
  readonly #tracked = new Map<string, Map<string, Tracked>>();
  readonly #changed = new OnceATurn((group) => this.#keepOneUsable(group));
  #unsubscribe: () => void = () => undefined;

  constructor(parts: OutlierDetectorParts) {
    this.#parts = parts;
    this.#nowMs = parts.nowMs ?? monotonicMs;
    this.#wallMs = parts.wallMs ?? Date.now;
  }

  /** Follows changes of state from now on; subscribe what assigns slots before. */
  start(): void {
    this.#unsubscribe = this.#parts.authority.subscribe(({ previous, next }) => this.#follow(previous, next));
    this.#follow(EMPTY_SNAPSHOT, this.#parts.authority.snapshot);
  }

  stop(): void {
    this.#unsubscribe();
    for (const servers of this.#tracked.values()) for (const { timer } of servers.values()) clearTimeout(timer);
    this.#tracked.clear();
  }

  /** undefined: there is no such server. */
  statusOf(group: string, server: string): EjectionStatus | undefined {
    const { ledger, slots } = this.#parts;
    const slot = slots.serverSlot(group, server);
    if (slot === undefined) return undefined;
    const { ejectedUntilMs = undefined, cause = '' } = this.#tracked.get(group)?.get(server) ?? {};
    return { ejectedUntilMs, ejections: ledger.outliers.ejections(slot), cause, failuresInARow: ledger.outliers.failures(slot) };
  }

  /** The health of a server of this group is another. */
  note(group: string): void {
    if (this.#tracked.has(group)) this.#changed.note(group);
  }

  /** A worker says that connects to the server have failed as often as its group allows. */
  failing({ group: name, server, slot, failures, cause }: FailingServer): void {
    const { authority, ledger, slots } = this.#parts;
    const group = authority.snapshot.targetGroups.get(name);
    if (group === undefined || slots.serverSlot(name, server) !== slot) return;
    // It has been connected to meanwhile, or was removed and added again: what is told is of before.
    if (ledger.outliers.failures(slot) === 0) return;
    const tracked = this.#track(name, server, slot);
    const ejected = this.#ejectedOf(name).length;
    const hasOther = group.servers.some((other) => other.address !== server && this.#isUsable(name, other));
    const around = { servers: group.servers.length, ejected, hasOther };
    const nowMs = this.#nowMs();
    const { outlier, spared } = judgeFailures(tracked.outlier, group.outlierDetection, around, nowMs);
    if (spared === undefined) this.#eject(tracked, outlier, nowMs, `${failures} connects in a row failed, at last ${cause}`);
    else this.#spare(tracked, spared, failures);
  }

  #track(group: string, server: string, slot: number): Tracked {
    const servers = this.#tracked.get(group) ?? new Map<string, Tracked>();
    this.#tracked.set(group, servers);
    const known = servers.get(server);
    if (known !== undefined) return known;
    const tracked = {
      group,
      server,
      slot,
      outlier: NEVER_EJECTED,
      ejectedUntilMs: undefined,
      cause: '',
      spared: undefined,
      timer: undefined,
    };
    servers.set(server, tracked);
    return tracked;
  }

  #eject(tracked: Tracked, outlier: Outlier, nowMs: number, cause: string): void {
    const { ledger, log, onChange } = this.#parts;
    const { group, server, slot } = tracked;
    const untilMs = outlier.ejectedUntilMs ?? nowMs;
    const forMs = Math.round(untilMs - nowMs);
    tracked.outlier = outlier;
    tracked.ejectedUntilMs = this.#wallMs() + forMs;
    tracked.cause = cause;
    tracked.spared = undefined;
    tracked.timer = setTimeout(() => this.#takeBack(tracked, 'its time is over'), forMs).unref();
    ledger.setEjected(slot, untilMs);
    this.#tell('ejected', tracked, cause);
    log.warn({ group, server, cause, forMs, ejectionsInARow: outlier.ejectionsInARow }, 'upstream server is ejected');
    onChange(group);
  }

  #takeBack(tracked: Tracked, cause: string): void {
    const { ledger, log, onChange } = this.#parts;
    const { group, server, slot, outlier } = tracked;
    if (outlier.ejectedUntilMs === undefined) return;
    const nowMs = this.#nowMs();
    clearTimeout(tracked.timer);
    tracked.outlier = endEjection(outlier, nowMs);
    tracked.ejectedUntilMs = undefined;
    ledger.setEjected(slot, undefined, nowMs);
    this.#tell('returned', tracked, cause);
    log.info({ group, server, cause }, 'upstream server is no longer ejected');
    onChange(group);
  }

  #spare(tracked: Tracked, spared: Sparing, failures: number): void {
    const isNews = spared !== tracked.spared && (spared === 'too many ejected' || spared === 'last usable');
    tracked.spared = spared;
    const { group, server } = tracked;
    if (isNews) this.#parts.log.warn({ group, server, failures, why: spared }, 'upstream server fails and is not ejected');
  }

  #tell(kind: 'ejected' | 'returned', { group, server, slot, ejectedUntilMs }: Tracked, cause: string): void {
    const health = this.#parts.ledger.health(slot);
    this.#parts.journal.append({ kind, group, server, from: health, to: health, cause, atMs: this.#wallMs(), ejectedUntilMs });
  }

  #follow(previous: Snapshot, next: Snapshot): void {
    for (const { name, before, after } of changedGroups(previous, next)) {
      const servers = this.#tracked.get(name);
      if (servers === undefined) continue;
      this.#followGroup(servers, before, after);
      if (after === undefined) this.#tracked.delete(name);
      else this.#changed.note(name);
    }
  }

  #followGroup(servers: Map<string, Tracked>, before: TargetGroup | undefined, after: TargetGroup | undefined): void {
    const modes = (group: TargetGroup | undefined) => new Map(group?.servers.map(({ address, mode }) => [address, mode]));
    const [were, are] = [modes(before), modes(after)];
    for (const [server, tracked] of servers) {
      if (!are.has(server)) {
        clearTimeout(tracked.timer);
        servers.delete(server);
      } else if (after?.outlierDetection.consecutiveFailures === 0) this.#takeBack(tracked, 'outlierDetection was turned off');
      else if (are.get(server) === 'ready' && were.get(server) !== 'ready') this.#takeBack(tracked, 'set ready');
    }
  }

  /** An ejection must not leave a group without a server: when the others are gone since, the first to come back does so now. */
  #keepOneUsable(name: string): void {
    const group = this.#parts.authority.snapshot.targetGroups.get(name);
    const ejected = this.#ejectedOf(name);
    if (group === undefined || ejected.length === 0 || group.servers.some((server) => this.#isUsable(name, server))) return;
    const wanted = new Set(group.servers.filter((server) => this.#isUsable(name, server, 'if not ejected')).map(({ address }) => address));
    const untilOf = ({ outlier }: Tracked) => outlier.ejectedUntilMs ?? 0;
    const [first] = ejected.filter(({ server }) => wanted.has(server)).sort((a, b) => untilOf(a) - untilOf(b));
    if (first !== undefined) this.#takeBack(first, 'no other server of the group is left');
  }

  #ejectedOf(group: string): readonly Tracked[] {
    return [...(this.#tracked.get(group)?.values() ?? [])].filter(({ outlier }) => outlier.ejectedUntilMs !== undefined);
  }

  /** It takes connections, or would if it were not ejected. */
  #isUsable(group: string, { address, mode, weight }: UpstreamServer, when: 'now' | 'if not ejected' = 'now'): boolean {
    const { ledger, slots } = this.#parts;
    const slot = slots.serverSlot(group, address);
    if (slot === undefined || mode !== 'ready' || weight === 0) return false;
    if (ledger.health(slot) === 'unhealthy' || isAgentDown(ledger.facts.agent(slot).standing)) return false;
    return when === 'if not ejected' || !ledger.outliers.isEjected(slot);
  }
}
