/** Reads as much of an HTTP/1 answer as a health check looks at, from its bytes so far. */

export interface HttpAnswer {
  readonly status: number;
  /** Decoded as far as it has come; undefined: the head is not whole yet. */
  readonly body: Buffer | undefined;
  /** Nothing more of the body comes. */
  readonly isWhole: boolean;
}

const HEAD_END = '\r\n\r\n';

/** undefined: the first line is not whole yet. 'not HTTP': it is something else. Interim answers (1xx) are passed over. */
export function readHttpAnswer(bytes: Buffer): HttpAnswer | 'not HTTP' | undefined {
  const lineEnd = bytes.indexOf('\r\n');
  if (lineEnd === -1) return undefined;
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(bytes.toString('latin1', 0, lineEnd))?.[1]);
  if (Number.isNaN(status)) return 'not HTTP';
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return status < 200 ? undefined : { status, body: undefined, isWhole: false };
  const rest = bytes.subarray(headEnd + HEAD_END.length);
  if (status < 200) return readHttpAnswer(rest);
  const head = bytes.toString('latin1', lineEnd, headEnd + 2);
  if (/\r\ntransfer-encoding:[^\r]*\bchunked[ \t]*\r\n/i.test(head)) return { status, ...readChunks(rest) };
  const length = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n/i.exec(head)?.[1];
  if (length === undefined) return { status, body: rest, isWhole: false };
  return { status, body: rest.subarray(0, Number(length)), isWhole: rest.length >= Number(length) };
}

/** RFC 9112, section 7.1: what is malformed ends the body. */
function readChunks(bytes: Buffer): { readonly body: Buffer; readonly isWhole: boolean } {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return { body: Buffer.concat(chunks), isWhole: false };
    const size = Number.parseInt(/^[\da-f]{1,8}(?=[ \t;\r]|$)/i.exec(bytes.toString('latin1', at, lineEnd))?.[0] ?? '0', 16);
    if (size === 0) return { body: Buffer.concat(chunks), isWhole: true };
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
    if (at > bytes.length) return { body: Buffer.concat(chunks), isWhole: false };
  }
}
