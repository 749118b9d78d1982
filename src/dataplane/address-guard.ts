/** What one source address may do before it is known who it is: bounds that are looked at before any TLS is spoken. */
import { addressText, networkAround } from '../domain/cidr.ts';
import type { AddressGuard as Bounds, Listener } from '../domain/model.ts';
import type { AddressBound, AddressPlace, AddressTable } from '../shared/memory/address-table.ts';
import { Refusal } from './refusal.ts';

const UNBOUNDED: AddressPlace = { shaken: () => undefined, release: () => undefined };
const IPV4_MAPPED = 0xffffn;

/** Takes one of the places of the address (of an IPv6 address its /64). @throws Refusal `address_limited` */
export function enterAddress({ name, perAddress }: Listener, source: bigint, table: AddressTable, nowMs: number): AddressPlace {
  if (perAddress === undefined) return table.enterUncounted(name, countedAs(source));
  const place = table.enter(name, countedAs(source), perAddress, nowMs) ?? UNBOUNDED;
  if (typeof place === 'string') throw over(source, place, perAddress);
  return place;
}

/** Call it when the listeners have changed: bounds that are new count who came before them too. */
export function countNewlyBounded(previous: readonly Listener[], next: readonly Listener[], table: AddressTable, nowMs: number): void {
  const bounded = new Set(previous.filter(({ perAddress }) => perAddress !== undefined).map(({ name }) => name));
  for (const { name, perAddress } of next) if (perAddress !== undefined && !bounded.has(name)) table.count(name, nowMs);
}

/** Says why {@link enterAddress} would let nobody in from this address now; undefined: it would. Uses up nothing. */
export function objectionToAddress(
  { name, perAddress }: Listener,
  source: bigint,
  table: AddressTable,
  nowMs: number,
): (() => string) | undefined {
  const bound = perAddress && table.peek(name, countedAs(source), perAddress, nowMs).bound;
  return bound && (() => overText(source, bound, perAddress));
}

/** What {@link enterAddress} would say now, in words. Uses up nothing. @throws Refusal `address_limited` */
export function peekAddress(name: string, perAddress: Bounds, source: bigint, table: AddressTable, nowMs: number): string {
  const { held, pending, bound } = table.peek(name, countedAs(source), perAddress, nowMs);
  if (bound !== undefined) throw over(source, bound, perAddress);
  return `${held} connections of ${countedText(source)}, ${pending} of them in the handshake`;
}

function over(source: bigint, bound: AddressBound, bounds: Bounds): Refusal {
  return new Refusal('address_limited', overText(source, bound, bounds), 'hold');
}

function overText(source: bigint, bound: AddressBound, bounds: Bounds): string {
  const burst = bound === 'connectionsPerSecond' ? `, burst ${bounds.burst}` : '';
  return `${countedText(source)} is over perAddress.${bound}: ${bounds[bound]}${burst}`;
}

/** One machine commonly has a whole /64 of IPv6 addresses. */
function countedAs(source: bigint): bigint {
  return isIpv4(source) ? source : networkAround(source, 64).bits;
}

function countedText(source: bigint): string {
  return `${addressText(countedAs(source))}${isIpv4(source) ? '' : '/64'}`;
}

function isIpv4(source: bigint): boolean {
  return source >> 32n === IPV4_MAPPED;
}
