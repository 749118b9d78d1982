import { once } from 'node:events';
import { status as Code } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { type HealthCheckResponse, type HealthServer, HealthCheckResponse_ServingStatus as Serving } from '../gen/grpc/health/v1/health.ts';
import { AdminError } from './errors.ts';
import { serverStream, unary } from './rpc.ts';

/** The server as a whole, and its service. */
const SERVICES: readonly string[] = ['', 'lb.admin.v1.AdminService'];

/** grpc.health.v1.Health: SERVING until {@link drain}, NOT_SERVING from then on. */
export class HealthService {
  readonly methods: HealthServer;
  readonly #drained = new AbortController();

  constructor(log: Logger) {
    this.methods = {
      check: unary(log, ({ service }) => {
        if (!SERVICES.includes(service)) throw new AdminError(Code.NOT_FOUND, 'SERVICE_NOT_FOUND', `there is no service "${service}" here`);
        return this.#status();
      }),

      list: unary(log, () => ({ statuses: Object.fromEntries(SERVICES.map((service) => [service, this.#status()])) })),

      watch: serverStream(log, async ({ service }, replies) => {
        const known = SERVICES.includes(service);
        replies.send(known ? this.#status() : { status: Serving.SERVICE_UNKNOWN });
        const drained = this.#drained.signal;
        if (known && !drained.aborted) {
          await once(AbortSignal.any([drained, replies.signal]), 'abort');
          replies.send(this.#status());
        }
        if (!replies.signal.aborted) await once(replies.signal, 'abort');
      }),
    };
  }

  drain(): void {
    this.#drained.abort();
  }

  #status(): HealthCheckResponse {
    return { status: this.#drained.signal.aborted ? Serving.NOT_SERVING : Serving.SERVING };
  }
}
