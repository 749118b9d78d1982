/** Who administers: the certificates that have called with a role, kept across restarts. */
import { X509Certificate } from 'node:crypto';
import type { Logger } from 'pino';
import { ADMINISTRATORS_KEPT, type Archive } from '../controlplane/store/store.ts';
import { displayName, type Identity } from '../domain/identity.ts';
import { type RoleRules, roleOf } from '../domain/roles.ts';
import { identityIn } from './caller.ts';

/** That somebody goes on calling is written so often. */
const WRITTEN_AGAIN_MS = 86_400_000;
/** What could not be written is tried again with a call that comes so much later. */
const RETRIED_MS = 60_000;

export interface Administrator {
  readonly identity: Identity;
  readonly name: string;
  readonly certificate: X509Certificate;
}

interface Entry extends Administrator {
  writtenAtMs: number;
}

type AdministratorArchive = Pick<Archive, 'administrators' | 'recordAdministrators'>;

/** The administrators who called last, so many as the store keeps. */
export class KnownAdministrators {
  readonly #archive: AdministratorArchive;
  readonly #roles: RoleRules;
  readonly #nowMs: () => number;
  /** By fingerprint, who called last at the end. */
  readonly #known = new Map<string, Entry>();

  private constructor(archive: AdministratorArchive, roles: RoleRules, nowMs: () => number) {
    this.#archive = archive;
    this.#roles = roles;
    this.#nowMs = nowMs;
  }

  /** Begins with those of earlier runs; with nobody, and a line in the log, when the store does not tell. */
  static async load(
    archive: AdministratorArchive,
    roles: RoleRules,
    log: Pick<Logger, 'warn'>,
    nowMs: () => number = Date.now,
  ): Promise<KnownAdministrators> {
    const known = new KnownAdministrators(archive, roles, nowMs);
    try {
      for (const { certificate, seenAtMs } of (await archive.administrators()).toReversed()) {
        const entry = entryOf(Buffer.from(certificate, 'base64'), seenAtMs);
        if (entry !== undefined) known.#known.set(entry.identity.fingerprint, entry);
      }
    } catch (err) {
      log.warn({ err }, 'the administrators of earlier runs are not known');
    }
    return known;
  }

  /** Learns of a call with a role. `certificate` is DER. */
  remember(fingerprint: string, certificate: Buffer): void {
    const entry = this.#known.get(fingerprint) ?? entryOf(certificate, Number.NEGATIVE_INFINITY);
    if (entry === undefined) return;
    this.#known.delete(fingerprint);
    this.#known.set(fingerprint, entry);
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size > ADMINISTRATORS_KEPT) this.#known.delete(oldest);
    const seenAtMs = this.#nowMs();
    if (seenAtMs - entry.writtenAtMs < WRITTEN_AGAIN_MS) return;
    entry.writtenAtMs = seenAtMs;
    this.#archive.recordAdministrators([{ fingerprint, certificate: certificate.toString('base64'), seenAtMs }]).catch(() => {
      entry.writtenAtMs = seenAtMs - WRITTEN_AGAIN_MS + RETRIED_MS;
    });
  }

  /** Those who hold a role now with a certificate that has not expired. */
  *present(): Generator<Administrator> {
    const nowMs = this.#nowMs();
    for (const administrator of this.#known.values()) {
      const isOver = administrator.certificate.validToDate.getTime() < nowMs;
      if (!isOver && roleOf(administrator.identity, this.#roles) !== undefined) yield administrator;
    }
  }
}

function entryOf(der: Buffer, writtenAtMs: number): Entry | undefined {
  const certificate = new X509Certificate(der);
  const identity = identityIn(certificate);
  return identity === 'ambiguous' ? undefined : { identity, name: displayName(identity), certificate, writtenAtMs };
}
