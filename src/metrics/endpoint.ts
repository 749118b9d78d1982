/** GET and HEAD of /metrics in plain HTTP on an address of its own, and the dashboard where it is wanted: never much of it at once. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Address } from '../domain/model.ts';
import { DASHBOARD_HEADERS, type Dashboard } from './dashboard.ts';
import { hostCheck } from './host.ts';
import type { Metrics } from './metrics.ts';

const MAX_CONNECTIONS = 64;
const HEADERS_WITHIN_MS = 5_000;
const REQUEST_WITHIN_MS = 10_000;
/** A reader that takes nothing for so long is dropped. */
const STALLED_AFTER_MS = 30_000;
const NOT_THIS_HOST = 'this is not asked for by that host name; use an IP address, or list the name in metrics.hosts';

/** Where the endpoint listens, and the host names under which it is asked for. */
export interface Asked {
  readonly address: Address;
  readonly hosts: readonly string[];
}

/** What the endpoint serves. */
export interface Served {
  readonly metrics: Metrics;
  /** undefined: no page for people. */
  readonly dashboard: Dashboard | undefined;
}

export class MetricsEndpoint {
  readonly #server: Server;
  readonly #metrics: Metrics;
  readonly #dashboard: Dashboard | undefined;
  readonly #isOwnHost: (header: string | undefined) => boolean;
  readonly #log: Logger;
  /** The text being put together: those who ask meanwhile get the same. */
  #rendering: Promise<readonly Buffer[]> | undefined;

  private constructor({ address, hosts }: Asked, { metrics, dashboard }: Served, log: Logger) {
    this.#metrics = metrics;
    this.#dashboard = dashboard;
    this.#isOwnHost = hostCheck([address.host, ...hosts]);
    this.#log = log;
    this.#server = createServer(
      { headersTimeout: HEADERS_WITHIN_MS, requestTimeout: REQUEST_WITHIN_MS, keepAliveTimeout: HEADERS_WITHIN_MS, maxHeaderSize: 8_192 },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.setTimeout(STALLED_AFTER_MS);
  }

  /** Listens and serves. @throws an Error with a `code` such as EADDRINUSE when the address cannot be had */
  static async start(asked: Asked, served: Served, log: Logger): Promise<MetricsEndpoint> {
    const endpoint = new MetricsEndpoint(asked, served, log);
    const { host, port } = asked.address;
    endpoint.#server.listen({ host, port });
    await once(endpoint.#server, 'listening');
    // An accept that fails (EMFILE) costs that one connection.
    endpoint.#server.on('error', (err) => log.error({ err }, 'metrics listener'));
    return endpoint;
  }

  /** Where it listens, with the port that was really bound. */
  get address(): Address {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') throw new Error('the metrics endpoint does not listen');
    return { host: bound.address, port: bound.port };
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0] ?? '';
    try {
      if (!this.#isOwnHost(request.headers.host)) return plain(response, 421, `${NOT_THIS_HOST}\n`);
      // Node.js sends no body in answer to HEAD, whatever is written.
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        return plain(response.setHeader('allow', 'GET, HEAD'), 405, 'only GET and HEAD\n');
      }
      if (path === '/metrics') return await this.#sendMetrics(response);
      const file = await this.#dashboard?.read(path);
      if (file === undefined) return plain(response, 404, `there is only ${this.#dashboard ? '/ and ' : ''}/metrics here\n`);
      const { contentType, body } = file;
      const headers = { ...DASHBOARD_HEADERS, 'content-type': contentType, 'content-length': Buffer.byteLength(body) };
      response.writeHead(200, headers).end(body);
    } catch (err) {
      this.#log.error({ err, path }, 'an answer on the metrics address could not be put together');
      plain(response, 500, 'this is a defect in the load balancer; its log has the stack\n');
    }
  }

  async #sendMetrics(response: ServerResponse): Promise<void> {
    this.#rendering ??= this.#metrics.parts().finally(() => {
      this.#rendering = undefined;
    });
    const parts = await this.#rendering;
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    response.writeHead(200, { 'content-type': this.#metrics.contentType, 'content-length': length });
    // Somebody who leaves in the middle is no problem of ours.
    await pipeline(Readable.from(inTurns(parts)), response).catch(() => undefined);
  }
}

/** A reader that takes everything at once must not keep others from their turn either. */
async function* inTurns(parts: readonly Buffer[]): AsyncGenerator<Buffer, void, undefined> {
  for (const part of parts) {
    yield part;
    await setImmediate();
  }
}

function plain(response: ServerResponse, status: number, text: string): void {
  // A body that came with the request is not read.
  const headers = { ...DASHBOARD_HEADERS, 'content-type': 'text/plain; charset=utf-8', connection: 'close' };
  response.writeHead(status, headers).end(text);
}
