/**
 * What a program gives the library, where it has no types that would have stopped it: each refused in one sentence that says what to give.
 * The bounds of numbers and what a name refers to are the state's matter.
 */
import { X509Certificate } from 'node:crypto';
import type { BaseLogger } from 'pino';
import type { LoadBalancerOptions } from './balancer-parts.ts';
import type { WatchFilter } from './controlplane/connection-watch.ts';
import { decodeCommand, encodeCommand } from './controlplane/store/codec.ts';
import { DecodeError } from './controlplane/store/decode.ts';
import type { Store } from './controlplane/store/store.ts';
import { DomainError } from './domain/errors.ts';
import { ALGORITHMS, LOG_LEVELS, SERVER_MODES, type UpstreamServer } from './domain/model.ts';
import { CLOSE_REASONS, REASONS } from './domain/reasons.ts';
import type { Command } from './domain/state.ts';
import type { ExplainQuestion } from './shared/explain.ts';
import type { CloseMode, ConnectionSelector } from './shared/messages.ts';

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

/** What is called of a logger of pino's. */
const LOG_FUNCTIONS: readonly (keyof BaseLogger)[] = ['error', 'warn', 'info'];

const STORE_FUNCTIONS: Fields<Store> = {
  load: true,
  compareAndSet: true,
  findRequest: true,
  keepRequest: true,
  watch: true,
  close: true,
  history: true,
  recorded: true,
  recordAudit: true,
  auditEntries: true,
  recordAdministrators: true,
  administrators: true,
};

const SETTINGS: Fields<Omit<UpstreamServer, 'address'>> = { weight: true, maxConnections: true, backup: true, mode: true };

const SELECTORS: Fields<ConnectionSelector> = { id: true, clientId: true, fingerprint: true, group: true, server: true };

const CLOSE_MODES: readonly CloseMode[] = ['reset', 'drain'];

const WATCH_FILTER: Fields<WatchFilter> = { selector: true, reason: true };

const QUESTION: Fields<ExplainQuestion> = { peer: true, source: true, listener: true, sni: true, alpn: true };

/** @throws TypeError unless each is an option of createLoadBalancer, of its type */
export function checkOptions(options: unknown): void {
  const given = checkKeys('createLoadBalancer', options, OPTIONS);
  checkFunctions('createLoadBalancer', "log as a logger of pino's", given['log'], LOG_FUNCTIONS);
  check('createLoadBalancer', 'writeLogLines', given['writeLogLines'], 'function');
  check('createLoadBalancer', 'allowInsecureKeyPermissions', given['allowInsecureKeyPermissions'], 'boolean');
  checkFunctions('createLoadBalancer', 'store as a Store', given['store'], Object.keys(STORE_FUNCTIONS));
  check('createLoadBalancer', 'sharesPorts', given['sharesPorts'], 'boolean');
  check('createLoadBalancer', 'resolve', given['resolve'], 'function');
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
export function checkDeadline(method: string, deadlineMs: unknown): void {
  if (typeof deadlineMs === 'number' && deadlineMs >= 0 && deadlineMs <= DAY_MS) return;
  throw new TypeError(`${method} takes a number of milliseconds from 0 to ${DAY_MS}, not ${shown(deadlineMs)}`);
}

/** @throws TypeError unless each of them is one that `method` can choose connections by: what it does not know would choose all */
export function checkSelector(method: string, selector: unknown): void {
  checkOptionalTexts(method, checkKeys(method, selector, SELECTORS, 'selector'));
}

/** @throws TypeError unless connections can be closed for it */
export function checkCloseReason(reason: unknown): void {
  checkOneOf('closeConnections', 'a reason', reason, CLOSE_REASONS);
}

/** @throws TypeError unless connections can end so */
export function checkCloseMode(mode: unknown): void {
  checkOneOf('enforce', 'a mode', mode, CLOSE_MODES);
}

/** @throws TypeError unless connections can be watched by it */
export function checkWatchFilter(filter: unknown): void {
  const { selector, reason } = checkKeys('watchConnections', filter, WATCH_FILTER);
  checkSelector('watchConnections', selector);
  if (reason !== undefined) checkOneOf('watchConnections', 'a reason', reason, REASONS);
}

/** @throws TypeError unless a list can go on there, with so many connections */
export function checkPage(after: unknown, limit: unknown): void {
  if (!Array.isArray(after) || !after.every((number) => isWhole(number, 0)))
    throw new TypeError(`listConnections takes after as a list of whole numbers, [] to begin with, not ${shown(after)}`);
  if (!isWhole(limit, 1)) throw new TypeError(`listConnections takes limit as a whole number from 1, not ${shown(limit)}`);
}

/** What a worker could not read would end it. @throws TypeError unless it can be asked, of whichever listener */
export function checkQuestion(question: unknown): void {
  const { peer, source, listener, sni, alpn } = checkKeys('explain', question, QUESTION);
  checkPeer(peer);
  if (source !== undefined && !(typeof source === 'bigint' && source >= 0n && source < 1n << 128n))
    throw new TypeError(`explain takes source as the 128 bits of an address in a bigint, not ${shown(source)}`);
  checkTexts('explain', { listener });
  checkOptionalTexts('explain', { sni, alpn });
}

function checkPeer(peer: unknown): void {
  const { kind, chainPem, identity }: Readonly<Record<string, unknown>> = isObject(peer) ? { ...peer } : {};
  if (kind === 'certificate') checkChain(chainPem);
  else if (kind === 'identity') checkIdentity(identity);
  else if (kind !== 'nobody')
    throw new TypeError(
      `explain takes peer as { kind: 'certificate', chainPem }, { kind: 'identity', identity } or { kind: 'nobody' }, not ${shown(kind ?? peer)}`,
    );
}

function checkChain(chain: unknown): void {
  if (!Array.isArray(chain) || chain.length === 0 || !chain.every(isCertificate))
    throw new TypeError("explain takes peer.chainPem as a list of certificates in PEM, the client's own first");
}

function isCertificate(pem: unknown): boolean {
  try {
    return typeof pem === 'string' && new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function checkIdentity(identity: unknown): void {
  if (!isObject(identity)) throw new TypeError(`explain takes peer.identity as an object, not ${shown(identity)}`);
  const { commonName, dnsNames, uriNames, organizationalUnits, fingerprint }: Readonly<Record<string, unknown>> = { ...identity };
  checkOptionalTexts('explain', { commonName });
  checkTexts('explain', { fingerprint });
  for (const [name, texts] of Object.entries({ dnsNames, uriNames, organizationalUnits })) {
    if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string'))
      throw new TypeError(`explain takes ${name} as a list of texts, not ${shown(texts)}`);
  }
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

function checkKeys(method: string, given: unknown, known: object, word = 'option'): Readonly<Record<string, unknown>> {
  const names = Object.keys(known).join(', ');
  if (!isObject(given)) throw new TypeError(`${method} takes its ${word}s as an object with any of ${names}, not ${shown(given)}`);
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(known, key)) throw new TypeError(`${method} has no ${word} ${shown(key)}; there are: ${names}`);
  }
  return { ...given };
}

function checkOptionalTexts(method: string, texts: Readonly<Record<string, unknown>>): void {
  checkTexts(method, Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined)));
}

function check(method: string, name: string, value: unknown, type: 'number' | 'boolean' | 'function'): void {
  if (value !== undefined && typeof value !== type) throw new TypeError(`${method} takes ${name} as a ${type}, not ${shown(value)}`);
}

/** Also those that it inherits, as a child of a logger does. */
function checkFunctions(method: string, what: string, value: unknown, names: readonly string[]): void {
  if (value === undefined) return;
  const lacking = names.filter((name) => !isObject(value) || typeof Reflect.get(value, name) !== 'function');
  if (lacking.length === 0) return;
  const found = isObject(value) ? `an object without ${lacking.join(', ')}` : shown(value);
  throw new TypeError(`${method} takes ${what}, with the functions ${names.join(', ')}, not ${found}`);
}

function checkOneOf(method: string, what: string, value: unknown, names: readonly string[]): void {
  if (names.some((name) => name === value)) return;
  throw new TypeError(`${method} takes ${what}, one of ${names.join(', ')}, not ${shown(value)}`);
}

function isWhole(value: unknown, least: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
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
