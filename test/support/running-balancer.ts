/** The balancer in this process, with its worker threads, its certificates and its log: for tests of what happens to connections. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { parseConfig } from '../../src/config/parse.ts';
import type { Resolve } from '../../src/controlplane/host-resolver.ts';
import type { Reason } from '../../src/domain/reasons.ts';
import { LoadBalancer } from '../../src/load-balancer.ts';
import { createTestCa, type TestCa } from './certificates.ts';
import { temporaryFolder } from './temp-dir.ts';
import { type TlsClient, type TlsClientOptions, tlsClient } from './tls-client.ts';

type Cleanup = Pick<TestContext, 'after'>;

/** An upper bound, not a pace. */
const PATIENCE_MS = 120_000;

/** The line that every connection leaves in the log. */
export interface ConnectionLine {
  readonly id: string;
  readonly reason: Reason;
  readonly msg: 'connection refused' | 'connection closed';
  readonly listener: string;
  readonly remote: string;
  readonly via?: string;
  readonly detail?: string;
  readonly identity?: string;
  readonly client?: string;
  readonly sni?: string;
  readonly alpn?: string;
  readonly resumed?: true;
  readonly group?: string;
  readonly server?: string;
  readonly attempts?: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly durationMs: number;
}

export interface RunningBalancerOptions {
  /** Keys of the configuration, over the defaults: one listener on a free port, two workers, the memory store. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly ca?: TestCa;
  /** PEM of a revocation list, for every listener. */
  readonly crl?: string;
  /** In place of the system's resolver. */
  readonly resolve?: Resolve;
}

export interface RunningBalancer {
  readonly lb: LoadBalancer;
  readonly ca: TestCa;
  /** Of the first listener, or of the one that is named. */
  port(listener?: string): number;
  connect(t: Cleanup, options: Partial<TlsClientOptions>): TlsClient;
  /** The log line of the connection that ended next after the last one asked for; each line is given once. */
  nextLine(): Promise<ConnectionLine>;
  /** The next so many lines. */
  nextLines(count: number): Promise<readonly ConnectionLine[]>;
  /** Resolves once the counters are so: they are in shared memory, which tells nobody that it has changed. */
  until(holds: (lb: LoadBalancer) => boolean): Promise<void>;
  /** Takes this revocation list in place of the one given at the start; resolves with how many connections that has ended. */
  reloadWith(crl: string): Promise<number>;
  /**
   * Fails unless nothing is held and nothing was lost: no worker has died, every gauge is at zero, every line of the log has
   * been asked for (so no connection has left two), and the counters say what the lines said. Ask for the lines of all
   * connections first: that is what waits for them.
   */
  assertIdle(): void;
}

/** A group without health checks, so that its servers see the connections of the test alone. */
export function uncheckedGroup(name: string, upstreamServers: readonly unknown[], changes: object = {}): object {
  return { name, upstreamServers, healthCheck: { type: 'none' }, ...changes };
}

export async function startBalancer(t: Cleanup, { config, ca, crl, resolve }: RunningBalancerOptions): Promise<RunningBalancer> {
  const root = ca ?? (await createTestCa());
  const folder = await temporaryFolder(t);
  const { caCert, loadbalancer } = await root.writeTo(folder, { loadbalancer: await root.issueServer() });
  const crlFile = path.join(folder, 'revoked.crl');
  if (crl !== undefined) await writeFile(crlFile, crl);
  const tlsParams = { ...loadbalancer, caCert, ...(crl === undefined ? {} : { crl: crlFile }) };
  const defaults = { listenAddress: '127.0.0.1:0', tlsParams, workers: 2, store: { kind: 'memory' } };
  const log = new ConnectionLog();
  const alarms: string[] = [];
  const lb = await LoadBalancer.start(parseConfig(JSON.stringify({ ...defaults, ...config }), path.join(folder, 'lb.yaml')), {
    log: pino({ level: 'error' }, { write: (line) => alarms.push(line) }),
    writeLogLines: (lines) => log.write(lines),
    ...(resolve === undefined ? {} : { resolve }),
  });
  t.after(() => lb.stop(0));

  const port = (listener = lb.listeners()[0]?.name) => {
    const { address } = lb.listeners().find(({ name }) => name === listener) ?? assert.fail(`there is no listener ${listener}`);
    return Number(address.split(':').at(-1));
  };
  return {
    lb,
    ca: root,
    port,
    connect: (test, options) => tlsClient(test, { port: port(), ca: root.caPem, ...options }),
    nextLine: () => log.next(),
    nextLines: (count) => Promise.all(Array.from({ length: count }, () => log.next())),
    until: async (holds) => {
      const patience = AbortSignal.timeout(PATIENCE_MS);
      while (!holds(lb)) await setTimeout(5, undefined, { signal: patience });
    },
    reloadWith: async (renewed) => {
      await writeFile(crlFile, renewed);
      return lb.reloadCertificates();
    },
    assertIdle: () => {
      assert.deepEqual(alarms, [], 'no worker has died');
      assert.deepEqual(log.unread, [], 'no line is left over');
      assert.deepEqual(gaugesAboveZero(lb), []);
      assertCounted(lb, log.read);
    },
  };
}

function gaugesAboveZero({ stats, snapshot }: LoadBalancer): readonly string[] {
  const gauges = [{ name: 'connections', active: stats.totals().active }];
  for (const { name } of snapshot.listeners) gauges.push({ name: `listener ${name}`, active: stats.listener(name).active });
  for (const clientId of snapshot.clients.keys()) gauges.push({ name: clientId, active: stats.client(clientId).active });
  for (const { name, servers } of snapshot.targetGroups.values()) {
    for (const { address } of servers) gauges.push({ name: `${name} ${address}`, active: stats.server(name, address).active });
  }
  return gauges.filter(({ active }) => active !== 0).map(({ name, active }) => `${name}: ${active}`);
}

function assertCounted({ stats, snapshot }: LoadBalancer, lines: readonly ConnectionLine[]): void {
  // A plain one is refused for its first words when it has a server already.
  const served = lines.filter(
    ({ msg, reason, server }) => msg === 'connection closed' || (reason === 'proxy_protocol_invalid' && server !== undefined),
  );
  const { accepted, byReason } = stats.totals();
  assert.equal(accepted, served.length);
  assert.deepEqual(byReason, tally(lines));
  for (const { name } of snapshot.listeners) {
    const own = lines.filter(({ listener }) => listener === name);
    const refused = own.filter(({ msg }) => msg === 'connection refused').length;
    const ownServed = served.filter(({ listener }) => listener === name).length;
    assert.deepEqual(stats.listener(name), { active: 0, accepted: ownServed, refused }, name);
  }
  for (const clientId of snapshot.clients.keys()) {
    const own = lines.filter(({ client }) => client === clientId);
    const ownServed = served.filter(({ client }) => client === clientId);
    const counted = stats.client(clientId);
    assert.equal(counted.accepted, ownServed.length, clientId);
    assert.deepEqual(counted.refused, tally(own.filter(({ msg }) => msg === 'connection refused')), clientId);
    assert.equal(counted.bytesFromClient, sum(ownServed.map(({ bytesUp }) => bytesUp)), clientId);
    assert.equal(counted.bytesToClient, sum(ownServed.map(({ bytesDown }) => bytesDown)), clientId);
  }
}

function tally(lines: readonly ConnectionLine[]): Map<Reason, number> {
  const times = new Map<Reason, number>();
  for (const { reason } of lines) times.set(reason, (times.get(reason) ?? 0) + 1);
  return times;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** The lines that connections leave, in their order, each to be read once. */
class ConnectionLog {
  readonly read: ConnectionLine[] = [];
  readonly unread: ConnectionLine[] = [];
  readonly #readers: ((line: ConnectionLine) => void)[] = [];

  write(lines: readonly string[]): void {
    for (const text of lines) {
      const line = parseLine(text);
      const reader = this.#readers.shift();
      if (reader === undefined) this.unread.push(line);
      else reader(line);
    }
  }

  async next(): Promise<ConnectionLine> {
    const line = this.unread.shift() ?? (await this.#coming());
    this.read.push(line);
    return line;
  }

  #coming(): Promise<ConnectionLine> {
    return new Promise((resolve, reject) => {
      const patience = globalThis.setTimeout(() => reject(new Error(`no connection ended within ${PATIENCE_MS} ms`)), PATIENCE_MS);
      this.#readers.push((line) => {
        clearTimeout(patience);
        resolve(line);
      });
    });
  }
}

/** @throws AssertionError for what no worker should ever say: a defect, a failing accept. */
function parseLine(text: string): ConnectionLine {
  const line: ConnectionLine = JSON.parse(text);
  assert.match(line.msg, /^connection (refused|closed)$/, text);
  return line;
}
