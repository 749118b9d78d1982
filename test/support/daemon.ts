/** The real daemon as a process of its own, with a configuration and certificates in a folder of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { type CertificateFiles, createTestCa, type TestCa } from './certificates.ts';
import { temporaryFolder } from './temp-dir.ts';

const MAIN = path.join(import.meta.dirname, '../../src/main.ts');
/** An upper bound, not a pace: a daemon that takes longer is broken, whatever the machine. */
const PATIENCE_MS = 120_000;

export interface DaemonOptions {
  /** Keys of the configuration, over {@link startDaemon}'s defaults; undefined removes a default. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The root of the default certificates; a new one unless told. */
  readonly ca?: TestCa;
  /** A folder to use again: a daemon that comes back to its state. */
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** More arguments for `lbd start`. */
  readonly args?: readonly string[];
  /** What Node.js is given to run: the daemon's sources unless told. */
  readonly program?: string;
  /** Shell commands that run in the folder before the daemon, in the process that becomes it: `ulimit -n 64`. */
  readonly before?: string;
}

/** One line of the log, as JSON. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface DaemonExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A daemon, ready or not. */
export interface Daemon {
  readonly pid: number;
  readonly folder: string;
  readonly configFile: string;
  readonly ca: TestCa;
  /** The certificate, role admin, of the default configuration's admin server. */
  readonly operator: CertificateFiles;
  /** PEM file of the root. */
  readonly caCert: string;
  readonly logs: readonly LogLine[];
  /** Lines of standard output that are not JSON, and all of standard error. */
  readonly output: readonly string[];
  /** The process has ended, and all that it said has been read. */
  readonly exited: Promise<DaemonExit>;
  /** The process has ended; what it said may be unread. */
  readonly gone: Promise<DaemonExit>;
  /** Where the log is read from: paused, it is a reader that stalls; destroyed, one that went away. */
  readonly stdout: Readable;
  /** The first line, past or coming, that fits. Rejects when the daemon ends before. */
  waitForLog(fits: (line: LogLine) => boolean): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** Sends SIGTERM (or another signal) and waits for the end. */
  stop(name?: NodeJS.Signals): Promise<DaemonExit>;
}

export interface ReadyDaemon extends Daemon {
  /** Listener name -> `host:port`. */
  readonly listeners: ReadonlyMap<string, string>;
  /** The port of the only (or first) listener. */
  readonly port: number;
  /** `host:port` of the admin server. */
  readonly admin: string;
}

/**
 * Starts the daemon and waits until it says that it is ready. By default: one listener and the admin server, both on a port of
 * the system's choice on loopback, a server and an operator certificate of `ca`, and the memory store.
 */
export async function startDaemon(t: Pick<TestContext, 'after'>, options: DaemonOptions = {}): Promise<ReadyDaemon> {
  const daemon = await launchDaemon(t, options);
  const { listeners, admin } = readReadyLine(await daemon.waitForLog(({ msg }) => msg === 'ready'));
  const [first] = listeners.values();
  return Object.assign(daemon, { listeners, admin, port: Number(first?.split(':').at(-1)) });
}

/** Starts the daemon and does not wait: for one that is to fail. */
export async function launchDaemon(t: Pick<TestContext, 'after'>, options: DaemonOptions = {}): Promise<Daemon> {
  const {
    config,
    ca = await createTestCa(),
    folder = await temporaryFolder(t),
    env = {},
    args = [],
    program = MAIN,
    before = ':',
  } = options;
  await mkdir(folder, { recursive: true });
  const files = await ca.writeTo(path.join(folder, 'certs'), {
    loadbalancer: await ca.issueServer(),
    operator: await ca.issue({ cn: 'admin', ou: 'admin' }),
  });
  const configFile = path.join(folder, 'lb.yaml');
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify({ ...defaultConfig(files.caCert, files.loadbalancer), ...config }, null, 2));

  const command = [process.execPath, program, 'start', '--config', configFile, ...args];
  const child = spawn('/bin/sh', ['-c', `${before}; exec "$@"`, 'sh', ...command], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const gone = once(child, 'exit').then(([code, signal]): DaemonExit => ({ code, signal }));
  const exited = once(child, 'close').then(([code, signal]): DaemonExit => ({ code, signal }));
  t.after(() => {
    child.kill('SIGKILL');
    return exited;
  });
  const { logs, output, waitForLog } = collect(child, exited);
  const pid = child.pid;
  if (pid === undefined) throw new Error('the daemon could not be started');
  return {
    pid,
    folder,
    configFile,
    ca,
    operator: files.operator,
    caCert: files.caCert,
    logs,
    output,
    exited,
    gone,
    stdout: child.stdout,
    waitForLog,
    signal: (name) => void child.kill(name),
    stop: (name = 'SIGTERM') => {
      child.kill(name);
      return exited;
    },
  };
}

function defaultConfig(caCert: string, { certificate, privateKey }: CertificateFiles): Readonly<Record<string, unknown>> {
  return {
    listenAddress: '127.0.0.1:0',
    tlsParams: { certificate, privateKey, caCert },
    logLevel: 'debug',
    targetGroups: [],
    clients: [],
    admin: { address: '127.0.0.1:0' },
    store: { kind: 'memory' },
  };
}

function collect(child: ReturnType<typeof spawn>, exited: Promise<DaemonExit>) {
  const logs: LogLine[] = [];
  const output: string[] = [];
  const readers = new Set<(line: LogLine) => void>();
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the daemon has no pipes');
  createInterface({ input: stdout }).on('line', (text) => {
    const line = parseLogLine(text);
    if (line === undefined) {
      output.push(text);
      return;
    }
    logs.push(line);
    for (const read of readers) read(line);
  });
  createInterface({ input: stderr }).on('line', (text) => output.push(text));

  const waitForLog = (fits: (line: LogLine) => boolean): Promise<LogLine> => {
    const past = logs.find(fits);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const read = (line: LogLine) => {
        if (!fits(line)) return;
        readers.delete(read);
        clearTimeout(patience);
        resolve(line);
      };
      const giveUp = (why: string) => {
        readers.delete(read);
        clearTimeout(patience);
        const tail = [...logs.slice(-20).map((line) => JSON.stringify(line)), ...output].join('\n');
        reject(new Error(`no log line fits ${fits.toString()}: the daemon ${why}\n${tail}`));
      };
      const patience = setTimeout(giveUp, PATIENCE_MS, `has said nothing of the kind for ${PATIENCE_MS} ms`);
      readers.add(read);
      void exited.then(({ code, signal }) => giveUp(`ended before, with ${code ?? signal}`));
    });
  };
  return { logs, output, waitForLog };
}

function parseLogLine(text: string): LogLine | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readReadyLine({ listeners, admin }: LogLine): { readonly listeners: ReadonlyMap<string, string>; readonly admin: string } {
  if (!Array.isArray(listeners) || typeof admin !== 'string') throw new Error('the ready line has no listeners or no admin address');
  return { listeners: new Map(listeners.map(({ name, address }) => [String(name), String(address)])), admin };
}
