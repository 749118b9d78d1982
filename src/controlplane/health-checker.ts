import { isIP } from 'node:net';
import { changedGroups } from '../domain/changed-groups.ts';
import { nextIntervalMs, observe } from '../domain/health.ts';
import { EMPTY_SNAPSHOT, type Snapshot, serverKey, type TargetGroup } from '../domain/model.ts';
import { monotonicMs } from '../shared/clock.ts';
import { atDeadline } from '../shared/deadline.ts';
import type { HealthCode } from '../shared/memory/layout.ts';
import { type Opening, PLAIN_OPENING } from '../shared/upstream-socket.ts';
import type { Subscriber } from './authority.ts';
import { DueQueue } from './due-queue.ts';
import type { HealthJournal, ServerHealth } from './health-journal.ts';
import { type Pace, PacedQueue } from './paced-queue.ts';
import type { ProbeResult } from './probes/look.ts';
import { type Probe, probe as probeOverSockets } from './probes/probe.ts';
import { checkSettings, healthOf, isCheckedSo, type WatchedServer, watchServer } from './watched-server.ts';

/** What the checker needs around it. Time and randomness are the real ones unless given. */
export interface HealthCheckerParts {
  readonly authority: { readonly snapshot: Snapshot; subscribe(subscriber: Subscriber): () => void };
  readonly journal: HealthJournal;
  /** Tells the workers. Called at every change of health, never from within a change of state. */
  readonly publish: (group: string, address: string, health: HealthCode) => void;
  readonly log: HealthLog;
  readonly probe?: Probe;
  /** How connections begin with the servers of the group; plain TCP unless given. */
  readonly opening?: (group: string) => Opening;
  /** The addresses of a host name; none unless given. */
  readonly addressesOf?: (host: string) => Promise<readonly string[]>;
  readonly nowMs?: () => number;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

/** The part of a pino logger that is used. */
export interface HealthLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** How long a start, or the addition of a server, waits for first probes. */
const FIRST_PROBE_BOUND_MS = 1000;
/** Further probes wait their turn: 10,000 servers must not need 10,000 sockets at once. */
const MOST_AT_ONCE = 256;
/** First probes, at a start or after a change of the check: no burst reaches the network, and 200 a second after the first 64. */
const FIRST_ROUND: Pace = { atOnce: 64, more: 10, everyMs: 50 };
/** A probe is early or late by up to this part of its interval, so that servers are not all looked at together. */
const JITTER = 0.1;

/** Looks at every upstream server at its group's interval, and tells when its health changes. */
export class HealthChecker {
  readonly #parts: HealthCheckerParts;
  readonly #probe: Probe;
  readonly #nowMs: () => number;
  readonly #random: () => number;
  readonly #watched = new Map<string, WatchedServer>();
  readonly #due = new DueQueue<WatchedServer>(MOST_AT_ONCE, (watched) => this.#probeOnce(watched));
  readonly #first = new PacedQueue<WatchedServer>(FIRST_ROUND, (watched, line) => {
    this.#due.add(watched, line);
    this.#due.run();
  });
  /** lbd itself lacks something to look with, as far as the last probe that ended says. */
  #isShort = false;
  #unsubscribe: () => void = () => undefined;

  constructor(parts: HealthCheckerParts) {
    this.#parts = parts;
    this.#probe = parts.probe ?? probeOverSockets;
    this.#nowMs = parts.nowMs ?? Date.now;
    this.#random = parts.random ?? Math.random;
  }

  /** Looks at every server at once, at many of them a little later. Resolves when each has been looked at, or after a second. Follows changes of state from then on. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#parts.authority.subscribe(({ previous, next }) => this.#follow(previous, next));
    this.#follow(EMPTY_SNAPSHOT, this.#parts.authority.snapshot);
    await withinFirstProbeBound(Promise.all([...this.#watched.values()].map(({ firstProbe }) => firstProbe.promise)));
  }

  /** Ends every probe and forgets every server. */
  stop(): void {
    this.#unsubscribe();
    for (const watched of this.#watched.values()) this.#pause(watched);
    this.#watched.clear();
  }

  /** How a server is; undefined for one that the state does not have. */
  statusOf(group: string, address: string): ServerHealth | undefined {
    const watched = this.#watched.get(serverKey(group, address));
    return watched === undefined ? undefined : healthOf(watched);
  }

  list(): readonly ServerHealth[] {
    return [...this.#watched.values()].map(healthOf);
  }

  /** Resolves once the server has been looked at, or is gone, or after a second. */
  async firstProbe(group: string, address: string): Promise<void> {
    const watched = this.#watched.get(serverKey(group, address));
    if (watched !== undefined) await withinFirstProbeBound(watched.firstProbe.promise);
  }

  #follow(previous: Snapshot, next: Snapshot): void {
    const changed = changedGroups(previous, next);
    for (const { before, after } of changed) if (before !== undefined) this.#forgetMissing(before, after);
    this.#lookAt(changed.flatMap(({ after }) => (after === undefined ? [] : this.#watchAll(after))));
  }

  #forgetMissing(before: TargetGroup, after: TargetGroup | undefined): void {
    const staying = new Set(after?.servers.map(({ address }) => address));
    for (const { address } of before.servers) {
      const watched = this.#watched.get(serverKey(before.name, address));
      if (watched === undefined || staying.has(address)) continue;
      this.#watched.delete(serverKey(before.name, address));
      this.#pause(watched);
      watched.firstProbe.resolve();
      const { group, server, health } = watched;
      this.#parts.journal.append({
        kind: 'removed',
        group,
        server,
        from: health.state,
        to: 'unknown',
        cause: 'removed',
        atMs: this.#nowMs(),
      });
    }
  }

  /** Gives those that are to be looked at from now on, or in another way. */
  #watchAll(group: TargetGroup): readonly WatchedServer[] {
    const news: WatchedServer[] = [];
    for (const { address, mode } of group.servers) {
      const key = serverKey(group.name, address);
      const known = this.#watched.get(key);
      const resting = mode === 'maintenance';
      if (known?.resting === resting && isCheckedSo(known, group)) continue;
      const watched = known ?? watchServer(group, address, this.#nowMs());
      this.#watched.set(key, watched);
      this.#pause(watched);
      watched.settings = checkSettings(group);
      watched.resting = resting;
      if (resting) watched.firstProbe.resolve();
      else news.push(watched);
    }
    return news;
  }

  /** The few of one change, a server that somebody adds for one, do not wait behind the thousands of a start. */
  #lookAt(news: readonly WatchedServer[]): void {
    const line = news.length <= FIRST_ROUND.atOnce ? 'first' : 'last';
    for (const watched of news) {
      // What nobody looks at needs no pace.
      if (watched.settings.healthCheck.type === 'none') this.#due.add(watched, 'first');
      else this.#first.add(watched, line);
    }
    this.#due.run();
    this.#first.run();
  }

  #pause(watched: WatchedServer): void {
    clearTimeout(watched.timer);
    watched.nextProbeAtMs = undefined;
    this.#first.delete(watched);
    this.#due.delete(watched);
    watched.running?.abort();
    watched.running = undefined;
  }

  async #probeOnce(watched: WatchedServer): Promise<void> {
    const running = new AbortController();
    watched.running = running;
    watched.nextProbeAtMs = undefined;
    const startedMs = monotonicMs();
    const result = await this.#look(watched, running);
    if (watched.running === running) {
      watched.running = undefined;
      watched.lastProbeMs = monotonicMs() - startedMs;
      try {
        this.#note(watched, result);
      } catch (err) {
        this.#parts.log.warn({ err, group: watched.group, server: watched.server }, 'a change of health could not be told to everybody');
      }
      this.#schedule(watched);
    }
  }

  /** Never rejects, and never lasts longer than the timeout, whatever the probe does. */
  async #look({ group, server, address, settings }: WatchedServer, running: AbortController): Promise<ProbeResult> {
    const { signal } = running;
    const given = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => given.resolve(), { once: true });
    const { healthCheck } = settings;
    const { timeoutMs } = healthCheck;
    const callOff = atDeadline(timeoutMs, () => running.abort());
    const probe = async () => {
      const addresses = isIP(address.host) === 0 ? await this.#parts.addressesOf?.(address.host) : [address.host];
      const opening = this.#parts.opening?.(group) ?? PLAIN_OPENING;
      return this.#probe({ address, addresses: addresses ?? [], opening, timeoutMs }, healthCheck, signal);
    };
    try {
      const result = await Promise.race([probe(), given.promise]);
      if (result !== undefined && !signal.aborted) return result;
      return { ok: false, cause: `timed out after ${timeoutMs / 1000}s` };
    } catch (err) {
      this.#parts.log.warn({ err, group, server }, 'a health check broke; it counts as failed');
      return { ok: false, cause: 'the health check itself broke' };
    } finally {
      callOff();
    }
  }

  #note(watched: WatchedServer, { ok, cause, inconclusive = false }: ProbeResult): void {
    const { group, server, settings } = watched;
    const atMs = this.#nowMs();
    watched.lastProbe = cause;
    watched.probedAtMs = atMs;
    this.#noteShortage(inconclusive, cause);
    if (inconclusive) return;
    const { healthCheck: check } = settings;
    const from = watched.health.state;
    const thresholds = check.type === 'none' ? { unhealthyThreshold: 1, healthyThreshold: 1 } : check;
    const { health, flipped } = observe(watched.health, ok ? 'success' : 'failure', thresholds);
    watched.health = health;
    if (flipped) {
      const to = health.state;
      watched.cause = cause;
      watched.sinceMs = atMs;
      this.#parts.publish(group, server, to);
      this.#parts.journal.append({ kind: 'changed', group, server, from, to, cause, atMs });
      this.#parts.log[to === 'healthy' ? 'info' : 'warn']({ group, server, from, to, cause }, `upstream server is ${to}`);
    }
    watched.firstProbe.resolve();
  }

  /** What lbd has run out of says nothing of a server. Told once, and when it is over. */
  #noteShortage(isShort: boolean, cause: string): void {
    if (isShort === this.#isShort) return;
    this.#isShort = isShort;
    if (isShort) this.#parts.log.warn({ cause }, 'health checks cannot be made; servers keep the health they have');
    else this.#parts.log.info({}, 'health checks can be made again');
  }

  #schedule(watched: WatchedServer): void {
    const { healthCheck } = watched.settings;
    if (healthCheck.type === 'none') return;
    const interval = nextIntervalMs(watched.health, healthCheck);
    // First probes happen close together: the second ones are spread over the whole interval.
    const delayMs = watched.probed ? interval * (1 - JITTER + 2 * JITTER * this.#random()) : interval * this.#random();
    watched.probed = true;
    watched.nextProbeAtMs = this.#nowMs() + delayMs;
    watched.timer = setTimeout(() => {
      this.#due.add(watched);
      this.#due.run();
    }, delayMs).unref();
  }
}

async function withinFirstProbeBound(done: Promise<unknown>): Promise<void> {
  const bound = Promise.withResolvers<void>();
  const timer = setTimeout(bound.resolve, FIRST_PROBE_BOUND_MS);
  await Promise.race([done, bound.promise]);
  clearTimeout(timer);
}
