/** A request as text: for the audit trail, and to tell two requests apart. */
import { createHash, X509Certificate } from 'node:crypto';
import { plainFingerprint } from '../domain/fingerprint.ts';
import { nameText } from '../domain/name-text.ts';
import * as contract from '../gen/lb/admin/v1/admin.ts';

const MAX_BYTES = 2048;
const MAX_VALUE = 256;
const MAX_ITEMS = 20;
/** In characters: what a text has beyond them is not looked at for the trail, and longer texts are told apart by their own digest. */
const MAX_WRITTEN = 65_536;
const MAX_SUBJECT = 128;
/** So many certificates of a request are looked at. */
const MAX_CERTIFICATES = 4;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]{1,20000}-----END CERTIFICATE-----\s*/g;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/**
 * The request of a method as proto3 JSON (protobuf.dev/programming-guides/json), of at most 2 KiB, with a mark where something is
 * left out. A certificate is told by its fingerprint and subject, and a private key sent by mistake is not kept. Empty: no request was read.
 */
export function auditedRequest(method: string, request: unknown): string {
  if (request === undefined) return '';
  const text = JSON.stringify(shortened(protoJson(method, request)));
  const size = Buffer.byteLength(text);
  if (size <= MAX_BYTES) return text;
  const mark = `… (cut; ${size} bytes)`;
  // A character that is cut in two becomes a mark of three bytes.
  return `${Buffer.from(text)
    .subarray(0, MAX_BYTES - Buffer.byteLength(mark) - 3)
    .toString()}${mark}`;
}

/** The same for the same wish of the same method, whatever the state was expected to be. */
export function requestDigest(method: string, request: unknown): string {
  const wish = JSON.stringify(request, (key, value: unknown) => {
    if (key === 'requestId' || key === 'expectedRevision') return undefined;
    // A configuration has megabytes, which JSON would read and write once more.
    if (typeof value === 'string' && value.length > MAX_WRITTEN) return createHash('sha256').update(value).digest('hex');
    return typeof value === 'bigint' ? String(value) : value;
  });
  return createHash('sha256').update(`${method} ${wish}`).digest('hex');
}

const CODECS: Readonly<Record<string, unknown>> = contract;

/** A message of another service is told as it is. */
function protoJson(method: string, request: unknown): unknown {
  const codec = CODECS[`${method}Request`];
  if (typeof codec !== 'object' || codec === null || !('toJSON' in codec) || typeof codec.toJSON !== 'function') return request;
  const json: unknown = codec.toJSON(request);
  return mended(json, request);
}

/** The generated code leaves the paths of a FieldMask as they are, and writes a Duration as the message that it is. */
function mended(json: unknown, message: unknown): unknown {
  if (typeof json === 'string' && Array.isArray(message)) return json.replace(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase());
  if (!isRecord(json) || !isRecord(message)) return json;
  const { seconds, nanos } = message;
  if (typeof seconds === 'bigint' && typeof nanos === 'number') return durationText(seconds, nanos);
  if (Array.isArray(json)) return json.map((item: unknown, index) => mended(item, message[index]));
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, mended(value, message[key])]));
}

function durationText(seconds: bigint, nanos: number): string {
  const fraction = String(Math.abs(nanos)).padStart(9, '0').replace(/0+$/, '');
  const sign = nanos < 0 && seconds === 0n ? '-' : '';
  return `${sign}${seconds}${fraction === '' ? '' : `.${fraction}`}s`;
}

function shortened(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return shortenedText(value);
  if (Array.isArray(value)) {
    const items = value.slice(0, MAX_ITEMS).map(shortened);
    return value.length > MAX_ITEMS ? [...items, `… (${value.length} in all)`] : items;
  }
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shortened(each)]));
}

function shortenedText(text: string): string {
  let certificates = 0;
  const safe = text
    .slice(0, MAX_WRITTEN)
    .replace(PRIVATE_KEY, '[private key]')
    .replace(CERTIFICATE, (pem) => (certificates++ < MAX_CERTIFICATES ? certificateText(pem) : '[certificate]'));
  const length = safe.length + Math.max(0, text.length - MAX_WRITTEN);
  return length > MAX_VALUE ? `${safe.slice(0, MAX_VALUE)}… (${length} characters)` : safe;
}

function certificateText(pem: string): string {
  try {
    const { fingerprint256, subject } = new X509Certificate(pem);
    return `[certificate ${plainFingerprint(fingerprint256)} ${nameText(subject, MAX_SUBJECT)}]`;
  } catch {
    return '[damaged certificate]';
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
