/** A request as text: for the audit trail, and to tell two requests apart. */
import { createHash } from 'node:crypto';

const MAX_BYTES = 2048;
const MAX_VALUE = 256;

/** As JSON of at most 2 KiB, without what was left out. Long values are cut, and a private key sent by mistake is not kept. */
export function auditedRequest(request: unknown): string {
  const text = JSON.stringify(request, (_, value: unknown) => (isLeftOut(value) ? undefined : written(value))) ?? '';
  if (Buffer.byteLength(text) <= MAX_BYTES) return text;
  // The mark that something is missing takes three bytes, and a character that is cut in two as many again.
  return `${Buffer.from(text)
    .subarray(0, MAX_BYTES - 6)
    .toString()}…`;
}

/** The same for the same wish of the same method, whatever the state was expected to be. */
export function requestDigest(method: string, request: unknown): string {
  const wish = JSON.stringify(request, (key, value: unknown) => {
    if (key === 'requestId' || key === 'expectedRevision') return undefined;
    return typeof value === 'bigint' ? String(value) : value;
  });
  return createHash('sha256').update(`${method} ${wish}`).digest('hex');
}

function isLeftOut(value: unknown): boolean {
  if (value === '' || value === 0 || value === 0n || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'string' && value.endsWith('_UNSPECIFIED');
}

function written(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'string') return value;
  const safe = value.replace(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, '[private key]');
  return safe.length > MAX_VALUE ? `${safe.slice(0, MAX_VALUE)}… (${safe.length} characters)` : safe;
}
