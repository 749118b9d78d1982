import { status as Code } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Accepted, Authority, Intent } from '../controlplane/authority.ts';
import { DomainError } from '../domain/errors.ts';
import type { Command } from '../domain/state.ts';
import type { Caller } from './caller.ts';
import { INTERNAL_ERROR, type Refusal, refusalOf } from './errors.ts';

/** The conditions that every mutation carries. */
export interface Conditions {
  /** 0: whatever it is. */
  readonly expectedRevision: bigint;
  /** Empty: none. */
  readonly requestId: string;
}

const MAX_REQUEST_ID = 128;

/** What a mutation wants done, and how its result reads in the log. */
export class Changes {
  readonly #authority: Authority;
  readonly #log: Logger;

  constructor(authority: Authority, log: Logger) {
    this.#authority = authority;
    this.#log = log;
  }

  /** Runs a mutation and writes its one line into the log, whether it is accepted or refused. `run` checks the request too. */
  async recorded<T extends Partial<Accepted>>(method: string, caller: Caller, run: () => Promise<T> | T): Promise<T> {
    try {
      const done = await run();
      const result = done.replayed === true ? 'replayed' : 'accepted';
      this.#log.info({ ...about(method, caller), result, revision: done.revision }, 'admin change');
      return done;
    } catch (error) {
      this.recordRefused(method, caller, refusalOf(error) ?? INTERNAL_ERROR);
      throw error;
    }
  }

  recordRefused(method: string, caller: Caller, { code, reason, message }: Refusal): void {
    this.#log.warn({ ...about(method, caller), result: Code[code], reason, why: message }, 'admin change');
  }

  /**
   * Hands the command to the authority. `within` is the field of the request that the command was made from: a DomainError
   * about one of its fields then names the whole path.
   * @throws what Authority.execute throws
   */
  async execute(command: Command, caller: Caller, conditions: Conditions, within = ''): Promise<Accepted> {
    try {
      return await this.#authority.execute(command, intentOf(caller, conditions));
    } catch (error) {
      if (error instanceof DomainError && within !== '') throw new DomainError(error.code, `${within}.${error.field}`, error.message);
      throw error;
    }
  }
}

function intentOf({ name }: Caller, { expectedRevision, requestId }: Conditions): Intent {
  if (requestId.length > MAX_REQUEST_ID)
    throw new DomainError('invalid', 'requestId', `a request id has at most ${MAX_REQUEST_ID} characters`);
  // Not the bare name: a certificate may be called "bootstrap".
  return { actor: `certificate ${name}`, expectedRevision: expectedRevision === 0n ? undefined : Number(expectedRevision), requestId };
}

function about(method: string, { name, from }: Caller): { method: string; admin: string; from: string } {
  return { method, admin: name, from };
}
