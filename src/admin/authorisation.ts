/** Who may call what. Every call passes here, streams, health and reflection included. */
import { status as Code, ServerInterceptingCall, type ServerInterceptingCallInterface, type ServerInterceptor } from '@grpc/grpc-js';
import type { Authority } from '../controlplane/authority.ts';
import { ClientIndex } from '../domain/identity.ts';
import type { Client } from '../domain/model.ts';
import { revocationOf } from '../domain/revocations.ts';
import { type RoleRules, roleOf, roleSuffices } from '../domain/roles.ts';
import { type Caller, callerOf } from './caller.ts';
import type { AdminConnections } from './connections.ts';
import { type Refusal, statusOf } from './errors.ts';
import { NEEDED_ROLE } from './roles.ts';

/** Who learns what was decided. */
export interface Listeners {
  /** Somebody with a role has called. */
  admitted(caller: Caller): void;
  /** The caller's `request` is that of the call if the caller has a role, though too low a one. */
  refused(caller: Caller, refusal: Refusal): void;
}

/** Whether the caller's role opens this method of AdminService too. */
export type MayCall = (method: string, caller: Caller) => boolean;

const ROLE_TOO_LOW = 'ROLE_TOO_LOW';
/** A wall clock may be set, and timers are not for longer than 24 days. */
const END_LOOKED_AT_MS = 3_600_000;

/** A stream that goes on: its caller may lose the role meanwhile, and the server may stop. */
interface LiveStream {
  readonly path: string;
  readonly caller: Caller;
  end(refusal: Refusal): void;
}

/** Decides on each call by the certificate's role, and ends the streams of a caller that has lost it. */
export class Authorisation {
  readonly #authority: Authority;
  readonly #rules: RoleRules;
  readonly #connections: Pick<AdminConnections, 'objectionTo'>;
  readonly #listeners: Listeners;
  readonly #streams = new Set<LiveStream>();
  #index: { readonly of: ReadonlyMap<string, Client>; readonly clients: ClientIndex } | undefined;

  constructor(authority: Authority, rules: RoleRules, connections: Pick<AdminConnections, 'objectionTo'>, listeners: Listeners) {
    this.#authority = authority;
    this.#rules = rules;
    this.#connections = connections;
    this.#listeners = listeners;
  }

  /** Why this caller may not call this method; undefined when it may. */
  refusal(path: string, caller: Caller): Refusal | undefined {
    const { identity, name, endsAtMs, from } = caller;
    const needed = NEEDED_ROLE.get(path);
    if (needed === undefined) return denied('METHOD_WITHOUT_ROLE', `no role opens ${path}`);
    if (identity === undefined) {
      return denied('AMBIGUOUS_IDENTITY', 'the certificate does not carry exactly one identity; use one with a single common name');
    }
    if (revocationOf(identity, this.#authority.snapshot) !== undefined) {
      return denied('CERTIFICATE_REVOKED', `certificate "${name}" is revoked and opens nothing`);
    }
    const objection = this.#connections.objectionTo(from);
    if (objection !== undefined) {
      const why = `since a reload of the CA or the revocation list (${objection.message})`;
      return denied(objection.reason.toUpperCase(), `certificate "${name}" opens nothing any more ${why}`);
    }
    if (endsAtMs <= Date.now()) {
      return denied(
        'CERTIFICATE_EXPIRED',
        `certificate "${name}" ended at ${new Date(endsAtMs).toISOString()}; connect with a renewed one`,
      );
    }
    if (this.#clients().find(identity) !== 'unknown') {
      return denied('DATA_PLANE_CERTIFICATE', `certificate "${name}" is a load-balanced client's and opens nothing here`);
    }
    const held = roleOf(identity, this.#rules);
    if (held === undefined) return denied('NO_ROLE', `certificate "${name}" has no role here; add it under admin.roles`);
    if (roleSuffices(held, needed)) return undefined;
    const method = path.slice(path.lastIndexOf('/') + 1);
    return denied(ROLE_TOO_LOW, `certificate "${name}" has the role ${held} and ${method} needs ${needed}; change it under admin.roles`);
  }

  readonly mayCall: MayCall = (method, caller) => this.refusal(`/lb.admin.v1.AdminService/${method}`, caller) === undefined;

  /** For the server's list of interceptors. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const caller = callerOf(call, method.path);
    const refusal = this.refusal(method.path, caller);
    if (refusal !== undefined) {
      const isReadFirst = refusal.reason === ROLE_TOO_LOW && !method.requestStream;
      return isReadFirst ? this.#refusedOnceRead(caller, refusal, call) : this.#refusedUnread(caller, refusal, call);
    }
    this.#listeners.admitted(caller);
    return method.responseStream ? this.#followed(method.path, caller, call) : new ServerInterceptingCall(call);
  };

  /** Ends the streams whose caller may not have them any more; call it when clients, revocations or what is held against connections have changed. */
  recheck(): void {
    for (const stream of this.#streams) {
      const refusal = this.refusal(stream.path, stream.caller);
      if (refusal !== undefined) stream.end(refusal);
    }
  }

  endStreams(refusal: Refusal): void {
    for (const stream of this.#streams) stream.end(refusal);
  }

  #refusedUnread(caller: Caller, refusal: Refusal, call: ServerInterceptingCallInterface): ServerInterceptingCall {
    this.#listeners.refused(caller, refusal);
    return new ServerInterceptingCall(call, { start: () => call.sendStatus(statusOf(refusal)) });
  }

  /** What an administrator asked for in vain is worth knowing; a stranger's request is not worth the memory. */
  #refusedOnceRead(caller: Caller, refusal: Refusal, call: ServerInterceptingCallInterface): ServerInterceptingCall {
    let refused = false;
    const refuse = (request?: unknown) => {
      if (refused) return;
      refused = true;
      this.#listeners.refused({ ...caller, request }, refusal);
      call.sendStatus(statusOf(refusal));
    };
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMessage: (request: unknown) => refuse(request),
          onReceiveHalfClose: () => refuse(),
          onCancel: () => refuse(),
        }),
    });
  }

  #followed(path: string, caller: Caller, call: ServerInterceptingCallInterface): ServerInterceptingCall {
    let ended = false;
    let certificateEnds: NodeJS.Timeout | undefined;
    const stream: LiveStream = {
      path,
      caller,
      end: (refusal) => {
        if (ended) return;
        ended = true;
        leave();
        call.sendStatus(statusOf(refusal));
      },
    };
    const leave = () => {
      this.#streams.delete(stream);
      clearTimeout(certificateEnds);
    };
    const endWithCertificate = () => {
      const refusal = this.refusal(path, caller);
      if (refusal !== undefined) stream.end(refusal);
      else certificateEnds = setTimeout(endWithCertificate, Math.min(caller.endsAtMs - Date.now(), END_LOOKED_AT_MS)).unref();
    };
    return new ServerInterceptingCall(call, {
      start: (next) => {
        this.#streams.add(stream);
        next({ onCancel: leave });
        endWithCertificate();
      },
      // The method may still have messages under way when its stream has been ended: they go nowhere.
      sendMessage: (message, next) => {
        if (!ended) next(message);
      },
      sendStatus: (status, next) => {
        if (!ended) next(status);
        ended = true;
      },
    });
  }

  #clients(): ClientIndex {
    const of = this.#authority.snapshot.clients;
    const known = this.#index;
    if (known?.of === of) return known.clients;
    known?.clients.follow(known.of, of);
    const clients = known?.clients ?? new ClientIndex(of.values());
    this.#index = { of, clients };
    return clients;
  }
}

function denied(reason: string, message: string): Refusal {
  return { code: Code.PERMISSION_DENIED, reason, message, field: '' };
}
