/**
 * What a program gives the library, where it has no types that would have stopped it: each refused in one sentence that says what to give.
 * The bounds of numbers and what a name refers to are the state's matter.
 */
import type { LoadBalancerOptions } from './balancer-parts.ts';
import { decodeCommand, encodeCommand } from './controlplane/store/codec.ts';
import { DecodeError } from './controlplane/store/decode.ts';
import { DomainError } from './domain/errors.ts';
import { ALGORITHMS, LOG_LEVELS, SERVER_MODES, type UpstreamServer } from './domain/model.ts';
import type { Command } from './domain/state.ts';

const DAY_MS = 86_400_000;

type Fields<T> = { readonly [K in keyof T]-?: true };

const OPTIONS: Fields<LoadBalancerOptions> = {
  log: true,
  writeLogLines: true,
  allowInsecureKeyPermissions: true,
  store: true,
  sharesPorts: true,
  resolve: true,
};

const SETTINGS: Fields<Omit<UpstreamServer, 'address'>> = { weight: true, maxConnections: true, backup: true, mode: true };

/** @throws TypeError unless each is an option of createLoadBalancer */
export function checkOptions(options: unknown): void {
  checkKeys('createLoadBalancer', options, OPTIONS);
}

/** @throws TypeError unless each is a setting of a server, of its type */
export function checkServerSettings(settings: unknown): void {
  const given = checkKeys('addUpstreamServer', settings, SETTINGS);
  check('addUpstreamServer', 'weight', given['weight'], 'number');
  check('addUpstreamServer', 'maxConnections', given['maxConnections'], 'number');
  check('addUpstreamServer', 'backup', given['backup'], 'boolean');
  if (given['mode'] !== undefined) checkOneOf('addUpstreamServer', 'a mode', given['mode'], SERVER_MODES);
}

/** @throws TypeError naming the first argument of `method` that is no text */
export function checkTexts(method: string, texts: Readonly<Record<string, unknown>>): void {
  for (const [name, text] of Object.entries(texts)) {
    if (typeof text !== 'string') throw new TypeError(`${method} takes ${name} as a text, not ${shown(text)}`);
  }
}

/** @throws TypeError unless a client in the shape of the YAML file may be in it */
export function checkClientDocument(client: unknown): void {
  if (isObject(client)) return;
  throw new TypeError(
    `addClient takes a client in the shape of the YAML file, such as { clientId: 'a', allowedTargetGroup: 'web' }, not ${shown(client)}`,
  );
}

/** @throws TypeError unless it is one of {@link ALGORITHMS}, and what gives the chance a function */
export function checkAlgorithm(algorithm: unknown, random: unknown): void {
  checkOneOf('createBalancer', 'an algorithm', algorithm, ALGORITHMS);
  check('createBalancer', 'random', random, 'function');
}

/** @throws TypeError unless it is one of the levels */
export function checkLogLevel(level: unknown): void {
  checkOneOf('setLogLevel', 'a level', level, LOG_LEVELS);
}

/** @throws TypeError unless it is a time in milliseconds, of a day at most: timers know no longer ones */
export function checkDeadline(deadlineMs: unknown): void {
  if (typeof deadlineMs === 'number' && deadlineMs >= 0 && deadlineMs <= DAY_MS) return;
  throw new TypeError(`stop takes a number of milliseconds from 0 to ${DAY_MS}, not ${shown(deadlineMs)}`);
}

/** @throws DomainError `invalid` unless it could be stored and read again, whatever the state is */
export function checkCommand(command: Command): void {
  try {
    decodeCommand(encodeCommand(command));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new DomainError('invalid', 'command', `this is no command: ${error.message.replace(/^\./, '')}`);
  }
}

function checkKeys(method: string, given: unknown, known: object): Readonly<Record<string, unknown>> {
  const names = Object.keys(known).join(', ');
  if (!isObject(given)) throw new TypeError(`${method} takes its options as an object with any of ${names}, not ${shown(given)}`);
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(known, key)) throw new TypeError(`${method} has no option ${shown(key)}; there are: ${names}`);
  }
  return { ...given };
}

function check(method: string, name: string, value: unknown, type: 'number' | 'boolean' | 'function'): void {
  if (value !== undefined && typeof value !== type) throw new TypeError(`${method} takes ${name} as a ${type}, not ${shown(value)}`);
}

function checkOneOf(method: string, what: string, value: unknown, names: readonly string[]): void {
  if (names.some((name) => name === value)) return;
  throw new TypeError(`${method} takes ${what}, one of ${names.join(', ')}, not ${shown(value)}`);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as it may stand in a message: on one line, and short. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'an object' : typeof value === 'function' ? 'a function' : String(value);
}
