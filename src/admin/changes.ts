import { status as Code } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { AuditTrail } from '../controlplane/audit-trail.ts';
import type { Accepted, Attempt, Authority, Intent, Wanted } from '../controlplane/authority.ts';
import type { AuditRecord } from '../controlplane/store/store.ts';
import { nextTurn } from '../controlplane/turns.ts';
import { DomainError } from '../domain/errors.ts';
import type { Caller } from './caller.ts';
import { expectedRevisionFrom } from './convert-values.ts';
import { INTERNAL_ERROR, type Refusal, refusalOf } from './errors.ts';
import { Repeats } from './repeats.ts';
import { auditedRequest, requestDigest } from './request-text.ts';

/** The conditions that every mutation carries. */
export interface Conditions {
  /** 0: whatever it is. */
  readonly expectedRevision: bigint;
  /** Empty: none. */
  readonly requestId: string;
}

const MAX_REQUEST_ID = 128;

/** What the audit trail says of what was not refused. */
const MESSAGES = { accepted: '', replayed: 'a repeated request', unchanged: 'nothing to change' } as const;

/** Runs mutations, and tells the log and the audit trail of each, whether it was accepted or refused. */
export class Changes {
  readonly #authority: Authority;
  readonly #log: Logger;
  readonly #trail: AuditTrail;
  /** By certificate. */
  readonly #refused: Repeats<AuditRecord>;

  constructor(authority: Authority, log: Logger) {
    this.#authority = authority;
    this.#log = log;
    this.#trail = new AuditTrail(authority.archive, {
      waiting: (err, count) => log.error({ err, count }, 'audit entries wait in memory: the store could not take them'),
      lost: (entries) => {
        for (const { atMs, actor, from, method, request, result } of entries)
          log.error({ at: new Date(atMs).toISOString(), method, admin: actor, from, request, result }, 'audit entry lost');
      },
    });
    this.#refused = new Repeats(({ last, count, sinceMs }) => {
      const message = `${last.message} (and ${count} more since ${new Date(sinceMs).toISOString()})`;
      this.#log.warn({ method: last.method, admin: last.actor, from: last.from, result: last.result, why: message }, 'admin call refused');
      void this.#trail.record({ ...last, message });
    });
  }

  /** Runs a mutation and records it, refused ones too. `run` checks the request too. */
  async recorded<T extends Partial<Accepted>>(method: string, caller: Caller, run: () => Promise<T> | T): Promise<T> {
    try {
      const done = await run();
      const result = done.replayed === true ? 'replayed' : done.unchanged === true ? 'unchanged' : 'accepted';
      this.#log.info({ ...about(method, caller), result, revision: done.revision }, 'admin change');
      // A change of state is in the trail already, in one step with the change.
      const isChange = done.revision !== undefined && result === 'accepted';
      const message = done.revision === undefined ? '' : MESSAGES[result];
      if (!isChange) await this.#trail.record(this.#entry(caller, 'OK', message));
      return done;
    } catch (error) {
      await this.recordRefused(caller, refusalOf(error) ?? INTERNAL_ERROR);
      throw error;
    }
  }

  /** Tells of a call that was refused, whatever it was to do. Resolves when it is in the audit trail, or could not be brought there. */
  async recordRefused(caller: Caller, { code, reason, message }: Refusal): Promise<void> {
    const entry = this.#entry(caller, Code[code], message);
    if (!this.#refused.isNews(caller.fingerprint, `${entry.method} ${message} ${entry.request}`, entry)) return;
    this.#log.warn({ ...about(caller.method, caller), result: Code[code], reason, why: message }, 'admin call refused');
    await this.#trail.record(entry);
  }

  /** Tells what has been counted so far, and asks the store once more to take what waits. */
  flush(): void {
    this.#refused.flush();
    void this.#trail.flush();
  }

  /**
   * Hands the command, or what makes one from the current state, to the authority. `within` is the field of the request that
   * the command was made from: a DomainError about one of its fields then names the whole path.
   * @throws what Authority.execute throws
   */
  async execute(wanted: Wanted, caller: Caller, conditions: Conditions, within = ''): Promise<Accepted> {
    const intent = intentOf(caller, conditions);
    // The digest of a large request has taken a while.
    await nextTurn();
    try {
      return await this.#authority.execute(wanted, intent);
    } catch (error) {
      if (error instanceof DomainError && within !== '') throw new DomainError(error.code, `${within}.${error.field}`, error.message);
      throw error;
    }
  }

  #entry(caller: Caller, result: string, message: string): AuditRecord {
    const { revision } = this.#authority.snapshot;
    return { ...attemptOf(caller), atMs: Date.now(), result, message, revisionBefore: revision, revisionAfter: revision };
  }
}

function intentOf(caller: Caller, { expectedRevision, requestId }: Conditions): Intent {
  if (requestId.length > MAX_REQUEST_ID)
    throw new DomainError('invalid', 'requestId', `a request id has at most ${MAX_REQUEST_ID} characters`);
  return {
    // Not the bare name: a certificate may be called "bootstrap".
    actor: `certificate ${caller.name}`,
    expectedRevision: expectedRevisionFrom(expectedRevision),
    requestId,
    requestDigest: requestId === '' ? '' : requestDigest(caller.method, caller.request),
    audit: attemptOf(caller),
  };
}

function attemptOf({ name, fingerprint, from, method, request }: Caller): Attempt {
  return { actor: name.slice(0, 256), fingerprint, from, method, request: auditedRequest(method, request) };
}

function about(method: string, { name, from }: Caller): { method: string; admin: string; from: string } {
  return { method, admin: name, from };
}
