/** Readers of the admin API's streams that take nothing: HTTP/2 as it is, because a gRPC client reads ahead. */
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';
import type { TestContext } from 'node:test';
import { Metadata, type MethodDefinition, type StatusObject } from '@grpc/grpc-js';
import type { KeyAndCertificate } from '../../certs/issuing.ts';

/** Compressed or not (1 byte), the length (4 bytes): https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
const FRAME_HEADER_BYTES = 5;
/** HTTP/2's own window: RFC 9113, 6.9.2. */
const USUAL_WINDOW_BYTES = 65_535;

export interface StalledSessionOptions {
  /** `host:port` of the admin server. */
  readonly target: string;
  /** PEM of its root. */
  readonly ca: string;
  readonly as: KeyAndCertificate;
  /** How much the server may send on each stream before it has to wait for ever. */
  readonly windowBytes: number;
}

/** One connection, whose streams may be sent `windowBytes` each and nothing more until it reads. */
export class StalledSession {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  /** Resolves when the server knows of the window. The connection ends with the test. */
  static async open(t: Pick<TestContext, 'after'>, { target, ca, as, windowBytes }: StalledSessionOptions): Promise<StalledSession> {
    const session = connect(`https://${target}`, {
      ca,
      cert: as.certPem,
      key: as.keyPem,
      checkServerIdentity: () => undefined,
      settings: { initialWindowSize: windowBytes },
    });
    session.on('error', () => undefined);
    t.after(() => session.destroy());
    await once(session, 'localSettings');
    return new StalledSession(session);
  }

  /** Resolves when the stream has begun. @throws when it is refused */
  async watch<Request, Response>(method: MethodDefinition<Request, Response>, request: Request): Promise<StalledWatch<Response>> {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': method.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const message = method.requestSerialize(request);
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32BE(message.length, 1);
    const begun = once(stream, 'response');
    stream.end(Buffer.concat([header, message]));
    const watch = new StalledWatch(stream, method.responseDeserialize);
    const [headers] = await begun;
    if (headers['grpc-status'] !== undefined) throw new Error(`refused: ${headers['grpc-message']}`);
    return watch;
  }

  /** The streams that are read get what they have missed, and what comes. */
  read(): Promise<void> {
    return this.#setWindow(USUAL_WINDOW_BYTES);
  }

  /** Nothing more is taken, whatever has been so far; resolves when the server knows. */
  stall(): Promise<void> {
    return this.#setWindow(0);
  }

  #setWindow(initialWindowSize: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#session.settings({ initialWindowSize }, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

/** One stream: nothing of it is read before `messages` or `ended` is asked for. */
export class StalledWatch<Response> {
  readonly #stream: ClientHttp2Stream;
  readonly #deserialize: (bytes: Buffer) => Response;
  readonly #ended = Promise.withResolvers<StatusObject>();

  constructor(stream: ClientHttp2Stream, deserialize: (bytes: Buffer) => Response) {
    this.#stream = stream;
    this.#deserialize = deserialize;
    stream.on('trailers', (trailers: IncomingHttpHeaders) => this.#ended.resolve(statusIn(trailers)));
    stream.on('error', () => undefined);
    stream.on('close', () => this.#ended.reject(new Error('the stream ended without a status')));
    this.#ended.promise.catch(() => undefined);
  }

  /** Message by message, to the end of the stream. */
  async *messages(): AsyncGenerator<Response, void, undefined> {
    let rest = Buffer.alloc(0);
    for await (const chunk of this.#stream) {
      rest = Buffer.concat([rest, chunk]);
      for (let end = endOfFirst(rest); end !== undefined; end = endOfFirst(rest)) {
        yield this.#deserialize(rest.subarray(FRAME_HEADER_BYTES, end));
        rest = rest.subarray(end);
      }
    }
  }

  /** Takes no more of this stream; the others of its connection go on. */
  close(): void {
    this.#stream.close();
  }

  /** How the stream ended; messages have to be read meanwhile. Rejects when it ended without a word. */
  get ended(): Promise<StatusObject> {
    return this.#ended.promise;
  }
}

/** Where the first message ends; undefined: it is not all here. */
function endOfFirst(bytes: Buffer): number | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const end = FRAME_HEADER_BYTES + bytes.readUInt32BE(1);
  return bytes.length < end ? undefined : end;
}

function statusIn(trailers: IncomingHttpHeaders): StatusObject {
  return {
    code: Number(trailers['grpc-status']),
    details: decodeURIComponent(String(trailers['grpc-message'])),
    metadata: Metadata.fromHttp2Headers(trailers),
  };
}
