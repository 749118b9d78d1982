/** The pieces that every mapping between the admin API and the domain is made of. */
import { parseAddress } from '../domain/address.ts';
import { DomainError } from '../domain/errors.ts';
import { isFingerprint, plainFingerprint } from '../domain/fingerprint.ts';
import { formatAddress, type Revision } from '../domain/model.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';

const DAY_MS = 86_400_000;

/** A duration of 0 or more; `undefined` when it was left out. @throws DomainError `invalid` */
export function msFrom(duration: Duration | undefined, at: string): number | undefined {
  if (duration === undefined) return undefined;
  const ms = Number(duration.seconds) * 1000 + duration.nanos / 1e6;
  if (ms < 0 || ms > DAY_MS) throw new DomainError('invalid', at, `${ms / 1000} s is not a duration from 0 s to 24 h`);
  return Math.ceil(ms);
}

/** A duration longer than 0. @throws DomainError `invalid` */
export function positiveMsFrom(duration: Duration | undefined, byDefault: number, at: string): number {
  const ms = msFrom(duration, at) ?? byDefault;
  if (ms === 0) throw new DomainError('invalid', at, 'the duration must be longer than 0 s; leave it out for the default');
  return ms;
}

/** @throws DomainError `invalid` when it was left out */
export function required<T>(value: T | undefined, at: string): T {
  if (value === undefined) throw new DomainError('invalid', at, 'this field is required');
  return value;
}

/** proto3 says 0 for a number that was left out. */
export function orDefault(value: number | undefined, byDefault: number): number {
  return value === undefined || value === 0 ? byDefault : value;
}

/** proto3 says '' for a text that was left out. */
export function unlessEmpty(text: string): string | undefined {
  return text === '' ? undefined : text;
}

/** @throws DomainError `invalid` */
export function atMost<N extends number | bigint>(max: number, value: N, at: string): N {
  if (value > max) throw new DomainError('invalid', at, `${value} is more than ${max}`);
  return value;
}

/** undefined for 0, which stands for any. @throws DomainError `revision_conflict` for what no state can be at: a number would round it */
export function expectedRevisionFrom(revision: bigint): Revision | undefined {
  if (revision === 0n) return undefined;
  if (revision <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(revision);
  throw new DomainError('revision_conflict', 'expectedRevision', `no state can be at revision ${revision}; read it again and decide anew`);
}

/** The domain's word for an enum value: the default for UNSPECIFIED. @throws DomainError `invalid` for a number that this server does not know */
export function choiceFrom<D extends string>(
  choices: readonly D[],
  table: Readonly<Record<D, string>>,
  value: string,
  byDefault: D,
  at: string,
): D {
  if (value.endsWith('_UNSPECIFIED')) return byDefault;
  const choice = choices.find((each) => table[each] === value);
  if (choice === undefined) throw new DomainError('invalid', at, `expected one of ${choices.map((each) => table[each]).join(', ')}`);
  return choice;
}

export function durationMessage(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** A SHA-256 fingerprint in lower-case hex digits without colons. @throws DomainError `invalid` */
export function fingerprintFrom(text: string, at: string): string {
  const hex = plainFingerprint(text);
  if (isFingerprint(hex)) return hex;
  throw new DomainError('invalid', at, 'a fingerprint is the SHA-256 of the certificate: 64 hex digits, with colons or without');
}

/** The address as the state writes it: a host name in lower case, IPv6 in brackets. @throws DomainError `invalid` */
export function addressFrom(text: string, at: string): string {
  const parsed = parseAddress(text);
  if ('problem' in parsed) throw new DomainError('invalid', at, parsed.problem);
  return formatAddress(parsed);
}
