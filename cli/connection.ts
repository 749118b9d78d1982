/** One mutual-TLS connection to the admin API, and calls on it. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import tls from 'node:tls';
import {
  type CallOptions,
  Client,
  type ClientReadableStream,
  connectivityState as Connectivity,
  credentials,
  Metadata,
  type ServiceError,
  status as Status,
} from '@grpc/grpc-js';
import { explainUnreachable, type Named, type ProbeTarget, probe } from './diagnosis.ts';
import { formatDuration } from './durations.ts';
import { CliError, EXIT, errorCode, errorText, fileProblem, refusal, unreachable, usageError } from './errors.ts';
import type { Settings } from './settings.ts';
import { splitAddress } from './values.ts';

/** One RPC as ts-proto and proto-loader both describe it. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** The largest reply taken, in bytes: the state of ten thousand servers and as many clients is below it. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;

/** A connection that takes longer than this is looked into. */
const USUAL_MS = 1_000;

/**
 * Node sends no IP address as a server name (RFC 6066 section 3) and grpc-js would try, so a name that cannot exist (RFC 6761)
 * goes out in its place. What the certificate must carry is checked against the address all the same.
 */
const NO_SERVER_NAME = 'ip-address.invalid';

/**
 * Connects within the settings' time-out. Throws a CliError: usage for certificate files that cannot be used, unreachable with
 * the cause otherwise.
 */
export async function connect(settings: Settings): Promise<Connection> {
  const { target, named } = checkedTarget(settings);
  const deadline = Date.now() + settings.timeoutMs;
  const client = new Client(
    `dns:${settings.addr}`,
    credentials.createFromSecureContext(target.secureContext, {
      checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(target.expectedName, certificate),
    }),
    {
      'grpc.ssl_target_name_override': isIP(target.expectedName) === 0 ? target.expectedName : NO_SERVER_NAME,
      // A change that was sent twice is a change that was made twice.
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.max_receive_message_length': MAX_REPLY_BYTES,
      // A watch must notice that the other side is gone.
      'grpc.keepalive_time_ms': 20_000,
      'grpc.keepalive_timeout_ms': 10_000,
    },
  );
  if (await becomesReady(client, Math.min(deadline, Date.now() + USUAL_MS))) return new Connection(client, settings, deadline);
  // Whatever listens there may keep grpc-js waiting for ever; a slow but good server answers the probe, and is given its time.
  const outcome = await probe(target, Math.max(USUAL_MS, deadline - Date.now()));
  if (outcome.kind === 'answered' && (await becomesReady(client, deadline))) return new Connection(client, settings, deadline);
  client.close();
  if (outcome.kind === 'answered' && Date.now() >= deadline) {
    throw unreachable(settings.addr, `it answers, but not within ${formatDuration(settings.timeoutMs)}; give it longer with --timeout`);
  }
  throw explainUnreachable(outcome, named);
}

/** False when the first attempt failed or the deadline passed. */
async function becomesReady(client: Client, deadline: number): Promise<boolean> {
  const channel = client.getChannel();
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === Connectivity.READY) return true;
    if (state === Connectivity.TRANSIENT_FAILURE || state === Connectivity.SHUTDOWN) return false;
    const late = await new Promise<boolean>((resolve) => {
      channel.watchConnectivityState(state, deadline, (error) => resolve(error !== undefined));
    });
    if (late) return false;
  }
}

/** A connection that was made: the server has taken our certificate and we have verified its own. Close it. */
export class Connection {
  readonly #client: Client;
  readonly #settings: Settings;
  readonly #deadline: number;

  constructor(client: Client, settings: Settings, deadline: number) {
    this.#client = client;
    this.#settings = settings;
    this.#deadline = deadline;
  }

  /** Throws a CliError: refused by the server, or unreachable when no answer came within the time-out. */
  unary<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    const options: CallOptions = { deadline: this.#deadline };
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: Response) => {
        if (error !== null) reject(this.#failure(error));
        else if (response !== undefined) resolve(response);
      };
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        options,
        done,
      );
    });
  }

  /** The messages of a server stream. It ends when the server ends it, when `signal` aborts, or when the loop is left. */
  async *serverStream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal?: AbortSignal,
  ): AsyncGenerator<Response, void, undefined> {
    yield* this.#messages(
      this.#client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, request),
      signal,
    );
  }

  /** Sends these requests, then yields what the server answers. */
  async *exchange<Request, Response>(
    method: Method<Request, Response>,
    requests: readonly Request[],
    signal?: AbortSignal,
  ): AsyncGenerator<Response, void, undefined> {
    const call = this.#client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
    for (const request of requests) call.write(request);
    call.end();
    yield* this.#messages(call, signal);
  }

  close(): void {
    this.#client.close();
  }

  async *#messages<Response>(
    call: Pick<ClientReadableStream<Response>, 'cancel' | 'on'> & AsyncIterable<Response>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Response, void, undefined> {
    const cancel = () => call.cancel();
    // Leaving the loop cancels the call, and what grpc-js then emits is of no interest.
    call.on('error', () => {});
    signal?.addEventListener('abort', cancel);
    if (signal?.aborted === true) cancel();
    try {
      for await (const message of call) yield message;
    } catch (error) {
      if (signal?.aborted === true) return;
      throw isServiceError(error) ? this.#failure(error) : error;
    } finally {
      signal?.removeEventListener('abort', cancel);
      cancel();
    }
  }

  #failure(error: ServiceError): CliError {
    const { addr, timeoutMs } = this.#settings;
    if (error.code === Status.DEADLINE_EXCEEDED && Date.now() >= this.#deadline) {
      return unreachable(addr, `it did not answer within ${formatDuration(timeoutMs)}; try again, or give it longer with --timeout`);
    }
    const connected = this.#client.getChannel().getConnectivityState(false) === Connectivity.READY;
    // A server that ends in the middle of a call resets it without a status; grpc-js then makes one of its own.
    const cutOff = error.details.startsWith('Received RST_STREAM');
    if (cutOff || (error.code === Status.UNAVAILABLE && !connected)) {
      return new CliError(EXIT.unreachable, `lost the connection to ${addr}; is lbd still running?`);
    }
    return refusal(error);
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error && 'metadata' in error;
}

function checkedTarget(settings: Settings): { readonly target: ProbeTarget; readonly named: Named } {
  const { addr, ca, cert, key } = settings;
  const hostPort = splitAddress(addr);
  if (hostPort === undefined) throw new Error(`settings hold no address but ${addr}`);
  if (cert === undefined && key === undefined) {
    throw usageError('no client certificate: give --cert and --key, or set LBCTL_CERT and LBCTL_KEY');
  }
  if (cert === undefined) throw usageError('a key without its client certificate: give --cert, or set LBCTL_CERT');
  if (key === undefined) throw usageError('a client certificate without its key: give --key, or set LBCTL_KEY');
  const secureContext = readSecureContext({ ca, cert, key });
  const expectedName = settings.serverName ?? hostPort.host;
  return {
    target: { ...hostPort, secureContext, expectedName },
    named: { addr, host: hostPort.host, expectedName, ca, cert, timeoutMs: settings.timeoutMs },
  };
}

function readSecureContext(files: { readonly ca: string | undefined; readonly cert: string; readonly key: string }): tls.SecureContext {
  const ca = files.ca === undefined ? undefined : readCertificates('CA', '--ca', files.ca);
  const cert = readCertificates('client certificate', '--cert', files.cert);
  const key = readPem('key', '--key', files.key);
  const mismatch = () =>
    usageError(`the key in ${files.key} does not belong to the certificate in ${files.cert}; give the pair with --cert and --key`);
  let context: tls.SecureContext;
  try {
    context = tls.createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
  } catch (error) {
    if (errorCode(error) === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') throw mismatch();
    throw usageError(
      `cannot use ${files.cert} with ${files.key}: ${errorText(error)}; expected a PEM certificate and its unencrypted PEM key`,
    );
  }
  // OpenSSL compares only keys of one kind: an RSA key beside an EC certificate passes it.
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw mismatch();
  return context;
}

function readCertificates(what: string, option: string, file: string): string {
  const pem = readPem(what, option, file);
  try {
    // Node takes a file without any certificate as a CA and trusts nothing then; better said here than as a failed handshake.
    new X509Certificate(pem);
  } catch {
    throw usageError(`there is no PEM certificate in ${file}; give the ${what} with ${option}`);
  }
  return pem;
}

function readPem(what: string, option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`cannot read the ${what} ${file}: ${fileProblem(error)}; give it with ${option}`);
  }
}
