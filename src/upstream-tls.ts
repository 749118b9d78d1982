import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { FileEnd } from './config/tls-ends.ts';
import { TlsFileError, type TlsFileOptions } from './config/tls-files.ts';
import { groupOwner, readingFor } from './config/tls-owners.ts';
import { loadUpstreamTls } from './config/upstream-tls-files.ts';
import { DomainError } from './domain/errors.ts';
import { EMPTY_SNAPSHOT, type Snapshot, type TargetGroup, type UpstreamTls, type UpstreamTlsMaterial } from './domain/model.ts';
import { localHeader } from './domain/proxy-protocol.ts';
import type { TlsEnd } from './domain/tls-ends.ts';
import { type Opening, type OpeningTls, PLAIN_OPENING, upstreamContext } from './shared/upstream-socket.ts';

/** Target group -> what its TLS settings' files hold. */
export type UpstreamMaterial = ReadonlyMap<string, UpstreamTlsMaterial>;

/** What the groups' TLS files hold, read when settings come into the state and again at each reload; a bad file is refused before. */
export class UpstreamTlsFiles {
  readonly #options: TlsFileOptions;
  readonly #log: Pick<Logger, 'warn'>;
  /** Of settings that were checked; each change of settings is another object. */
  readonly #checked = new WeakMap<UpstreamTls, UpstreamTlsMaterial>();
  readonly #ends = new WeakMap<UpstreamTlsMaterial, readonly FileEnd[]>();
  readonly #contexts = new WeakMap<UpstreamTlsMaterial, SecureContext>();
  #served: UpstreamMaterial = new Map();
  #followed: Snapshot = EMPTY_SNAPSHOT;

  constructor(options: TlsFileOptions, log: Pick<Logger, 'warn'>) {
    this.#options = options;
    this.#log = log;
  }

  /** What connections to the servers of each group use. */
  get served(): UpstreamMaterial {
    return this.#served;
  }

  /** When what is in force ends. */
  get ends(): readonly TlsEnd[] {
    return [...this.#served].flatMap(([usedBy, material]) => (this.#ends.get(material) ?? []).map((end) => ({ usedBy, ...end })));
  }

  /** Reads the files of settings that are new in `next`. @throws DomainError `invalid` when one of them cannot be used */
  check(next: Snapshot): void {
    if (next.targetGroups === this.#followed.targetGroups) return;
    for (const { name, upstreamTls } of next.targetGroups.values()) {
      if (upstreamTls === undefined || this.#checked.has(upstreamTls)) continue;
      try {
        this.#checked.set(upstreamTls, this.#load(name, upstreamTls));
      } catch (error) {
        if (!(error instanceof TlsFileError)) throw error;
        throw new DomainError('invalid', `upstreamTls.${error.key}`, error.message);
      }
    }
  }

  /** Serves what `next` names, and returns what is new. @throws as check does */
  follow(next: Snapshot): UpstreamMaterial {
    this.check(next);
    const previous = this.#followed;
    this.#followed = next;
    if (next.targetGroups === previous.targetGroups) return new Map();
    const served = new Map<string, UpstreamTlsMaterial>();
    const fresh = new Map<string, UpstreamTlsMaterial>();
    for (const [name, { upstreamTls }] of next.targetGroups) {
      if (upstreamTls === undefined) continue;
      const isOld = previous.targetGroups.get(name)?.upstreamTls === upstreamTls;
      const material = (isOld ? this.#served.get(name) : undefined) ?? this.#checked.get(upstreamTls);
      if (material === undefined) throw new Error(`the TLS files of target group ${name} were not read`);
      served.set(name, material);
      if (!isOld) fresh.set(name, material);
    }
    this.#served = served;
    return fresh;
  }

  /** Takes every file anew, all or none: what is returned puts it into force. Warnings go to the log and to `warn`. @throws TlsFileError */
  reread(warn: (warning: string) => void): () => UpstreamMaterial {
    const state = this.#followed;
    const renewed = new Map<string, UpstreamTlsMaterial>();
    for (const [name, { upstreamTls }] of state.targetGroups) {
      if (upstreamTls !== undefined) renewed.set(name, this.#load(name, upstreamTls, warn));
    }
    return () => {
      for (const [name, material] of renewed) {
        const settings = this.#followed.targetGroups.get(name)?.upstreamTls;
        // Settings that changed meanwhile have had their files read since.
        if (settings === undefined || settings !== state.targetGroups.get(name)?.upstreamTls) renewed.delete(name);
        else this.#checked.set(settings, material);
      }
      this.#served = new Map([...this.#served, ...renewed]);
      return renewed;
    };
  }

  /** How the balancer begins with a server of the group to look at it: a PROXY protocol header that speaks for nobody, TLS as for clients. */
  openingForChecks(group: TargetGroup | undefined): Opening {
    if (group === undefined) return PLAIN_OPENING;
    const { name, sendProxyProtocol, upstreamTls } = group;
    return {
      header: sendProxyProtocol === undefined ? undefined : localHeader(sendProxyProtocol),
      tls: upstreamTls === undefined ? undefined : this.#tlsForChecks(name, upstreamTls),
    };
  }

  #tlsForChecks(name: string, settings: UpstreamTls): OpeningTls | undefined {
    const material = this.#served.get(name);
    if (material === undefined) return undefined;
    const context = this.#contexts.get(material) ?? upstreamContext(material);
    this.#contexts.set(material, context);
    return { group: name, settings, context, alpn: undefined };
  }

  #load(group: string, settings: UpstreamTls, warn?: (warning: string) => void): UpstreamTlsMaterial {
    const owner = groupOwner(group);
    const { material, warnings, ends } = readingFor(`${owner}: upstreamTls.`, () => loadUpstreamTls(settings, this.#options));
    this.#ends.set(material, ends);
    for (const warning of warnings) {
      this.#log.warn({ group }, warning);
      warn?.(`${owner}: ${warning}`);
    }
    return material;
  }
}
