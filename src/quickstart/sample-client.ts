/** A client to try the balancer with: one mutual-TLS connection a request, one line an answer. */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';
import { parseAddress } from '../domain/address.ts';
import { type Address, formatAddress } from '../domain/model.ts';
import { failureOf, wholeNumber } from './arguments.ts';

const PATIENCE_MS = 10_000;

export interface SampleClientOptions {
  readonly requests: number;
  /** Where the balancer listens. */
  readonly server: Address;
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** Milliseconds from the end of one request to the beginning of the next. */
  readonly intervalMs: number;
}

/** What came of one request: the answer's body, or why there is none. */
type Outcome = { readonly served: true; readonly body: string } | { readonly served: false; readonly why: string };

/** Sends the requests one after the other and prints a line for each, then a summary. True when all were served. */
export async function runSampleClient(options: SampleClientOptions, print: (line: string) => void): Promise<boolean> {
  const startedMs = performance.now();
  const served = new Map<string, number>();
  let refused = 0;
  for (let number = 1; number <= options.requests; number++) {
    if (number > 1 && options.intervalMs > 0) await new Promise((resolve) => setTimeout(resolve, options.intervalMs));
    const outcome = await request(options);
    print(`request ${number}: ${outcome.served ? outcome.body : `refused: ${outcome.why}`}`);
    if (outcome.served) {
      const server = /^server (?<server>[^,]+),/.exec(outcome.body)?.groups?.['server'] ?? 'another server';
      served.set(server, (served.get(server) ?? 0) + 1);
    } else refused++;
  }
  const elapsedMs = Math.round(performance.now() - startedMs);
  const shares = [...served].map(([server, count]) => `${count} by ${server}`);
  print(
    `${options.requests - refused} of ${options.requests} requests served in ${elapsedMs} ms${shares.length > 0 ? `: ${shares.join(', ')}` : ''}`,
  );
  return refused === 0;
}

function request({ server, cert, key, ca }: SampleClientOptions): Promise<Outcome> {
  return new Promise((resolve) => {
    const { host, port } = server;
    const socket = connect({ host, port, cert, key, ca, ...(isIP(host) === 0 ? { servername: host } : {}) });
    socket.setEncoding('utf8');
    let received = '';
    let error: Error | undefined;
    // HTTP 1.0: the answer ends with the connection and comes in one piece.
    socket.on('secureConnect', () => socket.write(`GET / HTTP/1.0\r\nHost: ${formatAddress(server)}\r\n\r\n`));
    socket.on('data', (text: string) => {
      received += text;
    });
    socket.on('error', (cause) => {
      error = cause;
    });
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`no answer in ${PATIENCE_MS} ms`)));
    socket.on('close', () => resolve(outcomeOf(received, error)));
  });
}

function outcomeOf(received: string, error: Error | undefined): Outcome {
  const [head = '', body] = received.split('\r\n\r\n', 2);
  if (body !== undefined && /^HTTP\/1\.[01] 2\d\d /.test(head)) return { served: true, body: body.trim() };
  if (body !== undefined) return { served: false, why: `the server answered ${head.split('\r\n', 1)[0]}` };
  if (error === undefined) return { served: false, why: 'the connection was closed without an answer' };
  const code = 'code' in error ? error.code : undefined;
  // Without a system call behind it, ECONNRESET is Node's word for an end in mid-handshake.
  if (code === 'ECONNRESET') return { served: false, why: 'syscall' in error ? 'the connection was reset' : 'the connection was closed' };
  if (code === 'ECONNREFUSED') return { served: false, why: 'nothing listens there' };
  return { served: false, why: 'reason' in error ? String(error.reason) : error.message };
}

const USAGE =
  'usage: sample-client [--requests 5] [--server 127.0.0.1:8080] [--interval 0]\n' +
  '         [--cert certs/clientA.crt] [--key certs/clientA.key] [--ca certs/rootCA.pem]';

async function readArguments(): Promise<SampleClientOptions> {
  const text = (value: string) => ({ type: 'string', default: value }) as const;
  const { values } = parseArgs({
    options: {
      requests: text('5'),
      server: text('127.0.0.1:8080'),
      interval: text('0'),
      cert: text('certs/clientA.crt'),
      key: text('certs/clientA.key'),
      ca: text('certs/rootCA.pem'),
    },
  });
  const server = parseAddress(values.server);
  if ('problem' in server) throw new TypeError(`--server ${server.problem}`);
  const [cert, key, ca] = await Promise.all([readPem(values.cert), readPem(values.key), readPem(values.ca)]);
  return {
    requests: wholeNumber('--requests', values.requests, 1),
    server,
    cert,
    key,
    ca,
    intervalMs: wholeNumber('--interval (milliseconds)', values.interval, 0),
  };
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`${file} cannot be read: make the development certificates with npm run certs, or name others`, { cause: error });
  }
}

if (import.meta.main) {
  try {
    process.exitCode = (await runSampleClient(await readArguments(), console.log)) ? 0 : 1;
  } catch (error) {
    const { message, exitCode } = failureOf('sample-client', USAGE, error);
    console.error(message);
    process.exitCode = exitCode;
  }
}
