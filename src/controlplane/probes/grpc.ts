/** Asks a server's grpc.health.v1.Health how it is: github.com/grpc/grpc/blob/master/doc/health-checking.md. */
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { GrpcCheck, HealthCheck } from '../../domain/health-check.ts';
import { formatAddress } from '../../domain/model.ts';
import { look, type ProbeResult, type ProbeTarget, type Settle } from './look.ts';
import { printable, wordsOf } from './words.ts';

/** HealthCheckResponse.ServingStatus. */
const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;

/** By number, as grpc/grpc/doc/statuscodes.md lists them. */
const CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

/** The answer is two bytes; whoever sends more than this is no health service. */
const LONGEST_ANSWER = 4096;
/** Of a message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;

/** HTTP/2 with prior knowledge, or with ALPN where the group's servers are spoken TLS to; SERVING is healthy. */
export function probeGrpc(target: ProbeTarget, { grpc }: HealthCheck, signal: AbortSignal): Promise<ProbeResult> {
  if (grpc === undefined) return Promise.resolve({ ok: false, cause: 'the health check does not say what to ask for' });
  const { address, opening } = target;
  const tls = opening.tls === undefined ? undefined : { ...opening.tls, alpn: 'h2' };
  return look({ ...target, opening: { ...opening, tls } }, signal, (socket, settle) => {
    if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2')
      settle({ ok: false, cause: 'the server does not offer HTTP/2 (ALPN)' });
    else ask(socket, grpc, grpc.authority ?? formatAddress(address), settle);
  });
}

function ask(socket: Socket, { service }: GrpcCheck, authority: string, settle: Settle): void {
  const scheme = socket instanceof TLSSocket ? 'https' : 'http';
  const session: ClientHttp2Session = connect(`${scheme}://${authority}`, { createConnection: () => socket });
  session.on('error', (error) => settle({ ok: false, cause: wordsOf(error) }));
  socket.once('close', () => session.destroy());
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
    [constants.HTTP2_HEADER_AUTHORITY]: authority,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    [constants.HTTP2_HEADER_TE]: 'trailers',
    'user-agent': 'portcullis-health-check',
  });
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  let body = Buffer.alloc(0);
  stream.on('response', (headers) => {
    head = headers;
  });
  stream.on('trailers', (headers) => {
    trailers = headers;
  });
  stream.on('data', (chunk: Buffer) => {
    body = Buffer.concat([body, chunk]);
    if (body.length > LONGEST_ANSWER) settle({ ok: false, cause: 'the answer is too long for a health check' });
  });
  stream.once('end', () => settle(judge(head, trailers, body)));
  stream.on('error', (error) => settle({ ok: false, cause: wordsOf(error) }));
  stream.end(framed(requestFor(service)));
}

function judge(head: IncomingHttpHeaders, trailers: IncomingHttpHeaders, body: Buffer): ProbeResult {
  const status = Number(head[constants.HTTP2_HEADER_STATUS]);
  if (status !== 200) return { ok: false, cause: `HTTP ${status} in place of a gRPC answer` };
  // An answer without a message has its trailers where its headers are.
  const { 'grpc-status': code, 'grpc-message': message } = 'grpc-status' in trailers ? trailers : head;
  if (code === undefined) return { ok: false, cause: 'an answer without a gRPC status' };
  if (code !== '0') {
    const why = message === undefined ? '' : `: ${percentDecoded(message.toString())}`;
    return { ok: false, cause: printable(`gRPC ${CODES[Number(code)] ?? code.toString()}${why}`) };
  }
  const serving = servingStatusIn(body);
  return { ok: serving === 'SERVING', cause: serving ?? 'the answer is no HealthCheckResponse' };
}

/** How much of a message is looked at: far more than is shown of it. */
const LONGEST_MESSAGE = 1024;

/** A grpc-message as it was meant (PROTOCOL-HTTP2.md: UTF-8, percent-encoded); as it came where it is not encoded so. */
function percentDecoded(message: string): string {
  const text = message.slice(0, LONGEST_MESSAGE);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** HealthCheckRequest { string service = 1 } */
function requestFor(service: string): Uint8Array {
  return service === '' ? new Uint8Array() : new BinaryWriter().tag(1, 2).string(service).finish();
}

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** HealthCheckResponse { ServingStatus status = 1 }, uncompressed; undefined: it is something else. */
function servingStatusIn(body: Buffer): (typeof SERVING_STATUS)[number] | undefined {
  if (body.length < PREFIX_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.length - PREFIX_BYTES) return undefined;
  const reader = new BinaryReader(body.subarray(PREFIX_BYTES));
  let status = 0;
  try {
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === 1 && type === 0) status = reader.int32();
      else reader.skip(type);
    }
  } catch {
    return undefined;
  }
  return SERVING_STATUS[status];
}
