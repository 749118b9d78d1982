/** The first message of a TLS client (RFC 8446, section 4.1.2), as far as it says which server is asked for (RFC 6066, section 3). */

export type ReadHello =
  | { readonly state: 'whole'; readonly serverName: string | undefined }
  /** It is not there in full yet. */
  | { readonly state: 'more' }
  /** It is something else, or too long: whoever speaks TLS finds out what is wrong. */
  | { readonly state: 'other' };

/** Bytes before the content of a record: what OpenSSL waits for before it says anything. */
export const RECORD_HEADER = 5;

const NOT_TLS = ['wrong version number', 'http request', 'https proxy request'] as const;
/** What OpenSSL says of a client that does not begin as TLS does. */
export type NotTls = (typeof NOT_TLS)[number];

/** Longer than any that browsers send, key shares of post-quantum algorithms included. */
const LONGEST_HELLO = 32_768;
const MOST_RECORDS = 16;
const MESSAGE_HEADER = 4;
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
/** Of SSL 3.0 and all versions of TLS. */
const MAJOR_VERSION = 3;
/** Set in the first byte of a hello in a record of SSL 2.0 (RFC 5246, appendix E.2), for which OpenSSL has words of its own. */
const SSL2_HEADER = 0x80;
/** As far as OpenSSL looks at them. */
const HTTP_METHODS = ['GET ', 'POST ', 'HEAD ', 'PUT ', 'DELET', 'OPTIO', 'PATCH', 'TRACE'].map(bytesOf);
const HTTP_CONNECT = bytesOf('CONNE');
const SERVER_NAME = 0;
const HOST_NAME = 0;

const OTHER: ReadHello = { state: 'other' };
const MORE: ReadHello = { state: 'more' };

/** Whether these words of OpenSSL say that a client did not begin as TLS does. */
export function saysNotTls(reason: string | undefined): boolean {
  return NOT_TLS.some((words) => words === reason);
}

/**
 * Why what begins with these bytes, a record header or more, cannot be TLS; undefined: it may be, or OpenSSL has other words for what is wrong
 * with it.
 */
export function notTls(bytes: Uint8Array): NotTls | undefined {
  if (bytes[1] === MAJOR_VERSION || ((bytes[0] ?? 0) >= SSL2_HEADER && bytes[2] === CLIENT_HELLO)) return undefined;
  if (HTTP_METHODS.some((method) => beginsWith(bytes, method))) return 'http request';
  return beginsWith(bytes, HTTP_CONNECT) ? 'https proxy request' : 'wrong version number';
}

/** Reads what a connection begins with. A hello may come in several records, and these in any pieces. */
export function readClientHello(bytes: Uint8Array): ReadHello {
  if (bytes.length > 0 && bytes[0] !== HANDSHAKE_RECORD) return OTHER;
  if (bytes.length < RECORD_HEADER + MESSAGE_HEADER) return MORE;
  const length = MESSAGE_HEADER + numberAt(bytes, RECORD_HEADER + 1, 3);
  if (length > LONGEST_HELLO || bytes[RECORD_HEADER] !== CLIENT_HELLO) return OTHER;
  // Nothing is put together before there is enough, and only a few times then, however small the pieces are.
  if (bytes.length < RECORD_HEADER + length) return MORE;
  if (bytes.length > MOST_RECORDS * RECORD_HEADER + length) return OTHER;
  const message = new Uint8Array(length);
  for (let at = 0, written = 0; ; ) {
    if (at + RECORD_HEADER > bytes.length) return MORE;
    if (bytes[at] !== HANDSHAKE_RECORD) return OTHER;
    const begin = at + RECORD_HEADER;
    const end = begin + numberAt(bytes, at + 3, 2);
    const content = bytes.subarray(begin, Math.min(end, begin + length - written));
    message.set(content, written);
    written += content.length;
    if (written === length) return { state: 'whole', serverName: serverNameIn(message.subarray(MESSAGE_HEADER)) };
    at = end;
  }
}

/** undefined: it names none, or is malformed. Lower-case. */
function serverNameIn(hello: Uint8Array): string | undefined {
  const random = 34;
  const afterSession = skip(hello, random, 1);
  const afterSuites = skip(hello, afterSession, 2);
  const extensions = skip(hello, afterSuites, 1) + 2;
  for (let at = extensions; at + 4 <= hello.length; at = skip(hello, at + 2, 2)) {
    if (numberAt(hello, at, 2) !== SERVER_NAME) continue;
    const list = at + 6;
    const length = numberAt(hello, list + 1, 2);
    const name = hello.subarray(list + 3, list + 3 + length);
    return hello[list] === HOST_NAME && name.length === length && length > 0 ? String.fromCharCode(...name).toLowerCase() : undefined;
  }
  return undefined;
}

/** Where that ends which begins with its length, in so many bytes. */
function skip(bytes: Uint8Array, at: number, width: number): number {
  return at + width + numberAt(bytes, at, width);
}

/** Bytes that are not there count as zeros. */
function numberAt(bytes: Uint8Array, at: number, width: number): number {
  let number = 0;
  for (let index = at; index < at + width; index++) number = number * 256 + (bytes[index] ?? 0);
  return number;
}

function beginsWith(bytes: Uint8Array, word: Uint8Array): boolean {
  for (let at = 0; at < word.length; at++) if (bytes[at] !== word[at]) return false;
  return true;
}

function bytesOf(word: string): Uint8Array {
  return new TextEncoder().encode(word);
}
