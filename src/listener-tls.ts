import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { loadTlsMaterial, newTicketKey, TlsFileError, type TlsFileOptions } from './config/tls-files.ts';
import { type OwnedWarning, readingFor, tlsOwner, tlsUsers, warningLines } from './config/tls-owners.ts';
import { DomainError } from './domain/errors.ts';
import type { Listener, Snapshot } from './domain/model.ts';
import { withKey } from './domain/session-tickets.ts';
import type { TlsMaterial, TlsParams } from './domain/tls-material.ts';

/** Listener name -> what its TLS files hold. */
export type ListenerMaterial = ReadonlyMap<string, TlsMaterial>;

/** What the listeners' TLS files hold, read when settings come into the state and again at each reload; a bad file is refused before. */
export class ListenerTlsFiles {
  readonly #options: TlsFileOptions;
  readonly #log: Pick<Logger, 'warn'>;
  /** Of settings that were checked; each change of listeners brings other objects. */
  readonly #checked = new WeakMap<TlsParams, TlsMaterial>();
  #followed: readonly Listener[];
  #served: ListenerMaterial;

  /** @throws TlsFileError */
  constructor(listeners: readonly Listener[], options: TlsFileOptions, log: Pick<Logger, 'warn'>) {
    this.#options = options;
    this.#log = log;
    this.#followed = listeners;
    this.#served = this.#loadAll(listeners);
  }

  /** What new connections on each listener are served with. */
  get served(): ListenerMaterial {
    return this.#served;
  }

  /** Reads the files of settings that are new in `next`. @throws DomainError `invalid` when one of them cannot be used */
  check({ listeners }: Pick<Snapshot, 'listeners'>): void {
    if (listeners === this.#followed) return;
    for (const listener of listeners) {
      const { name, tls } = listener;
      if (tls === undefined || this.#checked.has(tls) || this.#asBefore(listener) !== undefined) continue;
      try {
        this.#checked.set(tls, this.#load({ listener: name, users: [name] }, tls));
      } catch (error) {
        if (!(error instanceof TlsFileError)) throw error;
        throw new DomainError('invalid', `listeners.${name}.tls.${error.key}`, error.message);
      }
    }
  }

  /** Serves what `next` names, and returns what is new. @throws as check does */
  follow({ listeners }: Pick<Snapshot, 'listeners'>): ListenerMaterial {
    if (listeners === this.#followed) return new Map();
    this.check({ listeners });
    const served = new Map<string, TlsMaterial>();
    const fresh = new Map<string, TlsMaterial>();
    for (const listener of listeners) {
      if (listener.tls === undefined) continue;
      const old = this.#asBefore(listener);
      const material = old ?? this.#checked.get(listener.tls);
      if (material === undefined) throw new Error(`the TLS files of listener ${listener.name} were not read`);
      served.set(listener.name, material);
      if (old === undefined) fresh.set(listener.name, material);
    }
    this.#followed = listeners;
    this.#served = served;
    return fresh;
  }

  /**
   * Takes every file anew, all or none: what is returned puts it into force, and returns it. Warnings go to the log and to `warn`.
   * @throws TlsFileError, also for a certificate that has ended in the place of one that has not
   */
  reread(warn: (warning: string) => void): () => ListenerMaterial {
    const listeners = this.#followed;
    const warnings: OwnedWarning[] = [];
    const renewed = this.#loadAll(listeners, { warnings, inForce: this.#served });
    for (const line of warningLines(warnings)) warn(line);
    return () => {
      // Settings that changed meanwhile have had their files read since.
      const still = this.#followed.filter(({ name, tls }) => isDeepStrictEqual(listeners.find((each) => each.name === name)?.tls, tls));
      const taken = new Map([...renewed].filter(([name]) => still.some((each) => each.name === name)));
      this.#served = new Map([...this.#served, ...taken]);
      return taken;
    };
  }

  /** Makes new session tickets with another key from now on, and returns what is served with it; tickets of before count on. */
  rotateTicketKeys(nowMs: number): ListenerMaterial {
    const rotated = new Map<string, TlsMaterial>();
    for (const [name, material] of this.#served) {
      const { sessionTickets } = material;
      if (sessionTickets !== undefined) rotated.set(name, { ...material, sessionTickets: withKey(sessionTickets, newTicketKey(nowMs)) });
    }
    this.#served = new Map([...this.#served, ...rotated]);
    return rotated;
  }

  /** What a listener is served with whose settings are those of before. */
  #asBefore({ name, tls }: Listener): TlsMaterial | undefined {
    const before = this.#followed.find((each) => each.name === name)?.tls;
    return before !== undefined && isDeepStrictEqual(before, tls) ? this.#served.get(name) : undefined;
  }

  #loadAll(listeners: readonly Listener[], again?: Again): ListenerMaterial {
    const usersOf = tlsUsers(listeners);
    return new Map(
      listeners.flatMap(({ name: listener, tls }) =>
        tls === undefined ? [] : [[listener, this.#load({ listener, users: usersOf(tls) }, tls, again)] as const],
      ),
    );
  }

  #load(
    { listener, users }: { readonly listener: string; readonly users: readonly string[] },
    params: TlsParams,
    again?: Again,
  ): TlsMaterial {
    const { material, warnings } = readingFor(`${tlsOwner(users)}: `, () =>
      loadTlsMaterial(params, this.#options, again?.inForce.get(listener)),
    );
    for (const warning of warnings) {
      this.#log.warn({ listener }, warning);
      again?.warnings.push({ listeners: [listener], warning });
    }
    return material;
  }
}

/** For files that are read again under the same settings. */
interface Again {
  readonly warnings: OwnedWarning[];
  readonly inForce: ListenerMaterial;
}
