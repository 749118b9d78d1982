/**
 * How fast the admin API is over a large state: `node bench/admin-speed.ts`. The daemon runs in this process with 10,000 servers
 * in 100 groups and 10,000 clients; the administrator is a thread of its own. While it works, an interval of 1 ms on the main
 * thread sees how long the event loop was held: by the clock, and in CPU time of that thread, which other work on the machine
 * does not lengthen. `--cpu-prof` profiles it. With a word as argument only the calls are made whose name has it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { pino } from 'pino';
import { CertificateAuthority, validFor } from '../certs/issuing.ts';
import { parseConfig } from '../src/config/parse.ts';
import { Daemon } from '../src/daemon.ts';
import { type AdminThread, administer, type Took } from './admin-calls.ts';

const GROUPS = 100;
const SERVERS = 10_000;
const CLIENTS = 10_000;
const TARGET = { medianMs: 100, holdMs: 20 };

/** The main thread: the daemon, and what its event loop goes through. */
async function measure(): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'portcullis-bench-'));
  try {
    const { daemon, admin } = await start(folder);
    console.log(`${SERVERS} servers in ${GROUPS} groups, ${CLIENTS} clients, sqlite store, 2 workers, node ${process.version}`);
    const holds = new Holds();
    const thread = new Worker(import.meta.filename, { workerData: admin });
    await new Promise<void>((resolve, reject) => {
      thread.on('message', (message: 'begin' | Took) => {
        if (message === 'begin') holds.restart();
        else report(message, holds);
        thread.postMessage('go on');
      });
      thread.once('error', reject).once('exit', () => resolve());
    });
    const { rss, heapUsed } = process.memoryUsage();
    console.log(
      `memory: ${megabytes(rss)} MB resident (daemon, two workers and this benchmark), ${megabytes(heapUsed)} MB heap of the main thread`,
    );
    holds.stop();
    await daemon.stop(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The longest time between two turns of this thread's event loop. */
class Holds {
  readonly #timer = setInterval(() => this.#look(), 1);
  #lastMs = 0;
  #lastCpuMs = 0;
  longestMs = 0;
  longestCpuMs = 0;

  restart(): void {
    this.#look();
    this.longestMs = 0;
    this.longestCpuMs = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    const { user, system } = process.threadCpuUsage();
    const cpuMs = (user + system) / 1000;
    this.longestMs = Math.max(this.longestMs, nowMs - this.#lastMs);
    this.longestCpuMs = Math.max(this.longestCpuMs, cpuMs - this.#lastCpuMs);
    this.#lastMs = nowMs;
    this.#lastCpuMs = cpuMs;
  }
}

function report({ call, times }: Took, { longestMs, longestCpuMs }: Holds): void {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  const [median, p99] = [at(0.5), at(0.99)];
  const over = [median > TARGET.medianMs ? 'SLOW' : '', longestCpuMs > TARGET.holdMs ? 'HELD' : ''].join(' ').trim();
  const figures = [
    `median ${median.toFixed(1)} ms`,
    `p99 ${p99.toFixed(1)} ms`,
    `held ${longestCpuMs.toFixed(1)} ms of CPU`,
    `${longestMs.toFixed(1)} ms by the clock`,
  ];
  console.log([call.padEnd(34), ...figures.map((figure) => figure.padEnd(22)), over].join(' ').trimEnd());
}

async function start(folder: string): Promise<{ daemon: Daemon; admin: AdminThread }> {
  const authority = await CertificateAuthority.create('bench CA', validFor(1, Date.now()));
  const issue = (name: string, purpose: 'server' | 'client') =>
    authority.issue({
      commonNames: [name],
      organizationalUnits: purpose === 'client' ? ['admin'] : [],
      dnsNames: purpose === 'server' ? ['localhost'] : [],
      uriNames: [],
      ipAddresses: purpose === 'server' ? ['127.0.0.1'] : [],
      purpose,
      validity: validFor(1, Date.now()),
    });
  const [server, operator] = await Promise.all([issue('loadbalancer', 'server'), issue('admin', 'client')]);
  const files = { certificate: 'lb.crt', privateKey: 'lb.key', caCert: 'ca.crt' };
  await writeFile(path.join(folder, files.certificate), server.certPem);
  await writeFile(path.join(folder, files.privateKey), server.keyPem, { mode: 0o600 });
  await writeFile(path.join(folder, files.caCert), authority.certPem);
  const text = JSON.stringify({
    listenAddress: '127.0.0.1:0',
    tlsParams: files,
    workers: 2,
    admin: { address: '127.0.0.1:0' },
    metrics: { address: '127.0.0.1:0', dashboard: true },
    store: { kind: 'sqlite', path: 'bench.state.db' },
    targetGroups: Array.from({ length: GROUPS }, (_, group) => ({
      name: `group-${group}`,
      healthCheck: { type: 'none' },
      upstreamServers: Array.from({ length: SERVERS / GROUPS }, (_, index) => `10.${group}.0.${index}:80`),
    })),
    clients: Array.from({ length: CLIENTS }, (_, index) => ({
      clientId: `client-${index}`,
      allowedTargetGroup: `group-${index % GROUPS}`,
      requests_per_second: 10,
    })),
  });
  const daemon = await Daemon.start(parseConfig(text, path.join(folder, 'lb.yaml')), {
    log: pino({ level: 'silent' }),
    writeLogLines: () => undefined,
    allowInsecureKeyPermissions: false,
    version: 'bench',
  });
  const { admin: address, metrics = '' } = daemon;
  const only = process.argv[2] ?? '';
  const identity = { ca: authority.certPem, key: operator.keyPem, certificate: operator.certPem };
  return { daemon, admin: { address, metrics, ...identity, groups: GROUPS, only } };
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}

// What the main thread sends as workerData is an AdminThread: measure() is its only author.
if (isMainThread) await measure();
else if (parentPort !== null) await administer(parentPort, workerData as AdminThread);
