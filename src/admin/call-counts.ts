import { status as Code, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { NEEDED_ROLE } from './roles.ts';

export interface CallCount {
  /** `lb.admin.v1.AdminService/GetState`; `unknown` for what is no method here. */
  readonly method: string;
  /** `OK`, `PERMISSION_DENIED`. */
  readonly code: string;
  readonly count: number;
}

/** Counts the calls of the admin API by method and by how they ended. */
export class CallCounts {
  readonly #counts = new Map<string, { method: string; code: string; count: number }>();

  all(): readonly CallCount[] {
    return [...this.#counts.values()];
  }

  /** For the server's list of interceptors: the first, so that it sees what the others answer. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    let counted = false;
    const count = (code: Code) => {
      if (!counted) this.#count(method.path, code);
      counted = true;
    };
    return new ServerInterceptingCall(call, {
      start: (next) => next({ onCancel: () => count(Code.CANCELLED) }),
      sendStatus: (status, next) => {
        count(status.code);
        next(status);
      },
    });
  };

  #count(path: string, status: Code): void {
    // Whoever calls chooses the path: only those that there are may become names.
    const method = NEEDED_ROLE.has(path) ? path.slice(1) : 'unknown';
    const code = Code[status] ?? 'UNKNOWN';
    const known = this.#counts.get(`${method} ${code}`);
    if (known === undefined) this.#counts.set(`${method} ${code}`, { method, code, count: 1 });
    else known.count++;
  }
}
