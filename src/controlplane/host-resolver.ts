/** Looks the host names of upstream servers up, again and again, for health checks and workers alike. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { parseAddress } from '../domain/address.ts';
import { changedGroups } from '../domain/changed-groups.ts';
import { EMPTY_SNAPSHOT, type Snapshot, type TargetGroup } from '../domain/model.ts';
import type { ResolvedHosts } from '../shared/upstream-addresses.ts';
import type { Subscriber } from './authority.ts';
import type { HealthLog } from './health-checker.ts';
import { wordsOf } from './probes/words.ts';

/** The IP addresses of a host name, in the order in which they are to be tried; rejects when there are none or nobody answers. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** As the system does it: /etc/hosts, then DNS, both families in the order of RFC 6724. */
export const resolveBySystem: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

/** What the resolver needs around it. Time, chance and the system's resolver are the real ones unless given. */
export interface HostResolverParts {
  readonly authority: { readonly snapshot: Snapshot; subscribe(subscriber: Subscriber): () => void };
  /** Tells the workers; resolves when they know. Hosts without addresses are those that nobody uses any more. */
  readonly publish: (hosts: ResolvedHosts) => Promise<void>;
  readonly log: HealthLog;
  readonly resolve?: Resolve | undefined;
  /** Milliseconds since 1970. */
  readonly nowMs?: () => number;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

/** What is known of a host name, for listings. */
export interface HostStatus {
  readonly addresses: readonly string[];
  /** When they were found or confirmed last, milliseconds since 1970; undefined: never yet. */
  readonly resolvedAtMs: number | undefined;
  /** Why the last lookup failed; undefined: it did not. The addresses from before hold. */
  readonly error: string | undefined;
}

/** How long a start waits for first lookups. */
const FIRST_LOOKUP_BOUND_MS = 1000;
/** A lookup that takes longer has failed. */
const LOOKUP_TIMEOUT_MS = 5000;
/** A host is looked up early or late by up to this part of the interval. */
const JITTER = 0.1;
/** More of them are not kept. */
const MOST_ADDRESSES = 64;

/** One host name. */
interface Host {
  readonly name: string;
  /** Target group -> its interval. */
  readonly intervals: Map<string, number>;
  /** What the workers have been told, and those that start are; {@link status} has it once they know, so that nothing is probed that they do not dial. */
  told: readonly string[];
  status: HostStatus;
  /** Until the next lookup; undefined: one is under way. */
  timer: NodeJS.Timeout | undefined;
  isGone: boolean;
  readonly firstLookup: PromiseWithResolvers<void>;
}

export class HostResolver {
  readonly #parts: HostResolverParts;
  readonly #resolve: Resolve;
  readonly #nowMs: () => number;
  readonly #random: () => number;
  readonly #hosts = new Map<string, Host>();
  #unsubscribe: () => void = () => undefined;

  constructor(parts: HostResolverParts) {
    this.#parts = parts;
    this.#resolve = parts.resolve ?? resolveBySystem;
    this.#nowMs = parts.nowMs ?? Date.now;
    this.#random = parts.random ?? Math.random;
  }

  /** Resolves when each host name has been looked up once, or after a second. Follows changes of state from then on. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#parts.authority.subscribe(({ previous, next }) => this.#follow(previous, next));
    this.#follow(EMPTY_SNAPSHOT, this.#parts.authority.snapshot);
    const bound = Promise.withResolvers<void>();
    const timer = setTimeout(bound.resolve, FIRST_LOOKUP_BOUND_MS);
    await Promise.race([Promise.all([...this.#hosts.values()].map(({ firstLookup }) => firstLookup.promise)), bound.promise]);
    clearTimeout(timer);
  }

  stop(): void {
    this.#unsubscribe();
    for (const host of this.#hosts.values()) this.#forget(host);
  }

  /** The addresses of every host name, for a worker that starts. */
  get known(): ResolvedHosts {
    return new Map([...this.#hosts.values()].map(({ name, told }) => [name, told]));
  }

  /** undefined: no server has this host, or it is an IP address. */
  statusOf(host: string): HostStatus | undefined {
    return this.#hosts.get(host)?.status;
  }

  /** The same for the `host:port` of a server. */
  statusOfServer(server: string): HostStatus | undefined {
    const host = hostNameOf(server);
    return host === undefined ? undefined : this.statusOf(host);
  }

  /** Waits for the first lookup; none: it failed, or no server has this host. */
  async addressesOf(name: string): Promise<readonly string[]> {
    const host = this.#hosts.get(name);
    await host?.firstLookup.promise;
    return host?.status.addresses ?? [];
  }

  #follow(previous: Snapshot, next: Snapshot): void {
    const changed = changedGroups(previous, next);
    for (const { name, before, after } of changed) {
      const staying = after === undefined ? new Set<string>() : hostNamesOf(after);
      for (const host of before === undefined ? [] : hostNamesOf(before)) if (!staying.has(host)) this.#leave(host, name);
    }
    for (const { after } of changed) if (after !== undefined) for (const host of hostNamesOf(after)) this.#use(host, after);
  }

  #leave(name: string, group: string): void {
    const host = this.#hosts.get(name);
    host?.intervals.delete(group);
    if (host === undefined || host.intervals.size > 0) return;
    this.#forget(host);
    void this.#parts.publish(new Map([[name, []]]));
  }

  #forget(host: Host): void {
    host.isGone = true;
    clearTimeout(host.timer);
    host.firstLookup.resolve();
    this.#hosts.delete(host.name);
  }

  #use(name: string, { name: group, resolveIntervalMs }: TargetGroup): void {
    const known = this.#hosts.get(name);
    if (known?.intervals.get(group) === resolveIntervalMs) return;
    const host = known ?? unknownHost(name);
    host.intervals.set(group, resolveIntervalMs);
    this.#hosts.set(name, host);
    // One that was never looked up is being looked up; another interval begins now.
    if (known === undefined) void this.#lookUp(host);
    else if (host.timer !== undefined) this.#schedule(host);
  }

  async #lookUp(host: Host): Promise<void> {
    host.timer = undefined;
    const bound = Promise.withResolvers<never>();
    const timer = setTimeout(() => bound.reject(new Error(`no answer in ${LOOKUP_TIMEOUT_MS / 1000}s`)), LOOKUP_TIMEOUT_MS).unref();
    try {
      const found = await Promise.race([this.#resolve(host.name), bound.promise]);
      if (!host.isGone) await this.#found(host, found.filter((address) => isIP(address) !== 0).slice(0, MOST_ADDRESSES));
    } catch (error) {
      if (!host.isGone) this.#failed(host, error instanceof Error ? wordsOf(error) : String(error));
    } finally {
      clearTimeout(timer);
      host.firstLookup.resolve();
    }
    if (!host.isGone) this.#schedule(host);
  }

  async #found(host: Host, addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) throw new Error('no address');
    const { addresses: before, error } = host.status;
    // Name servers give the same addresses in another order each time.
    const isSame = before.length === addresses.length && before.every((address) => addresses.includes(address));
    const resolvedAtMs = this.#nowMs();
    if (error !== undefined) this.#parts.log.info({ host: host.name, addresses }, 'host name is resolved again');
    else if (!isSame && before.length > 0) this.#parts.log.info({ host: host.name, addresses, before }, 'host name has other addresses');
    if (!isSame) {
      host.told = addresses;
      await this.#parts.publish(new Map([[host.name, addresses]]));
    }
    host.status = { addresses: isSame ? before : addresses, resolvedAtMs, error: undefined };
  }

  #failed(host: Host, error: string): void {
    const { status } = host;
    host.status = { ...status, error };
    if (status.error !== undefined) return;
    const { addresses } = status;
    const consequence = addresses.length === 0 ? 'its servers cannot be reached' : 'its servers are looked for where they were';
    this.#parts.log.warn({ host: host.name, error, addresses }, `host name cannot be resolved; ${consequence}`);
  }

  #schedule(host: Host): void {
    clearTimeout(host.timer);
    const intervalMs = Math.min(...host.intervals.values());
    host.timer = setTimeout(() => void this.#lookUp(host), intervalMs * (1 - JITTER + 2 * JITTER * this.#random())).unref();
  }
}

function unknownHost(name: string): Host {
  const status = { addresses: [], resolvedAtMs: undefined, error: undefined };
  return { name, intervals: new Map(), told: [], status, timer: undefined, isGone: false, firstLookup: Promise.withResolvers() };
}

function hostNamesOf({ servers }: TargetGroup): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { address } of servers) {
    const host = hostNameOf(address);
    if (host !== undefined) names.add(host);
  }
  return names;
}

/** The host name of a server's address; undefined: it is an IP address. */
function hostNameOf(address: string): string | undefined {
  // Most are IP addresses, which are told apart without being taken to pieces.
  if (/^(?:[\d.]+|\[.*\]):\d+$/.test(address)) return undefined;
  const parsed = parseAddress(address);
  return 'problem' in parsed || isIP(parsed.host) !== 0 ? undefined : parsed.host;
}
