/** The bytes of a TLS 1.2 client (RFC 5246) that says hello, presents its certificates, and breaks off. */

const HANDSHAKE = 22;
const ALERT = 21;
const VERSION = [3, 3];
const CLIENT_HELLO = 1;
const CERTIFICATE = 11;
const FATAL_USER_CANCELLED = Buffer.from([2, 90]);
/** The largest record (RFC 5246, 6.2.1), in bytes. */
const MAX_RECORD = 2 ** 14;

/** ECDHE with AES-GCM, for EC and for RSA keys of the server. */
const SUITES = [0xc02b, 0xc02f, 0xc02c, 0xc030];
/** x25519, P-256, P-384, P-521. */
const GROUPS = [29, 23, 24, 25];
/** ECDSA, Ed25519 and Ed448, RSA-PSS, RSA PKCS #1. */
const SIGNATURES = [0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601];

/** Everything that such a client sends, whatever the server answers; the certificates are DER, the leaf first. */
export function clientThatOnlyPresents(chain: readonly Buffer[]): Buffer {
  return Buffer.concat([
    records(HANDSHAKE, message(CLIENT_HELLO, hello())),
    records(HANDSHAKE, message(CERTIFICATE, sized(3, Buffer.concat(chain.map((der) => sized(3, der)))))),
    records(ALERT, FATAL_USER_CANCELLED),
  ]);
}

function hello(): Buffer {
  const random = Buffer.alloc(32);
  const noSession = sized(1, Buffer.alloc(0));
  const noCompression = sized(1, Buffer.from([0]));
  const extensions = [
    extension(10, sized(2, numbers(GROUPS))),
    extension(11, sized(1, Buffer.from([0]))),
    extension(13, sized(2, numbers(SIGNATURES))),
  ];
  return Buffer.concat([
    Buffer.from(VERSION),
    random,
    noSession,
    sized(2, numbers(SUITES)),
    noCompression,
    sized(2, Buffer.concat(extensions)),
  ]);
}

const message = (type: number, body: Buffer) => Buffer.concat([Buffer.from([type]), sized(3, body)]);
const extension = (type: number, body: Buffer) => Buffer.concat([numbers([type]), sized(2, body)]);
const numbers = (values: readonly number[]) => Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]));

/** The body behind its length of so many bytes. */
function sized(bytes: 1 | 2 | 3, body: Buffer): Buffer {
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(body.length, 0, bytes);
  return Buffer.concat([length, body]);
}

function records(type: number, body: Buffer): Buffer {
  const parts = Array.from({ length: Math.ceil(body.length / MAX_RECORD) }, (_, index) =>
    body.subarray(index * MAX_RECORD, (index + 1) * MAX_RECORD),
  );
  return Buffer.concat(parts.map((part) => Buffer.concat([Buffer.from([type, ...VERSION]), sized(2, part)])));
}
