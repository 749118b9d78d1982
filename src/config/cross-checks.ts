/**
 * What must hold between values of the file. It is asked of the file as written, not of the schema's result, so that these
 * problems are listed in the same run as those of the schema; a value of the wrong kind is passed over here.
 */
import { parseAddress } from '../domain/address.ts';
import { parseDuration } from '../domain/durations.ts';
import { formatAddress } from '../domain/model.ts';
import { LONGEST_LOG } from '../domain/ratelimit/sliding-window-log.ts';
import { offersTls13, suiteName } from './ciphers.ts';
import { found, hint, type PathStep } from './problems.ts';
import { positionOf, type SourceNode, type SourceProblem } from './source.ts';

type Report = (path: readonly PathStep[], expected: string) => void;

const DEFAULT_ADMIN = '127.0.0.1:9000';

export function crossProblems(root: SourceNode): SourceProblem[] {
  if (!isMapping(root)) return [];
  const problems: SourceProblem[] = [];
  const report: Report = (path, expected) => problems.push({ path, position: positionOf(root, path), expected });
  checkListeners(root, report);
  checkTlsGiven(root, report);
  for (const tls of tlsMappings(root)) checkTls(tls, report);
  checkUnique(
    items(root, 'targetGroups').map((group) => group.children.get('name')),
    report,
  );
  checkUnique(
    items(root, 'clients').map((client) => client.children.get('clientId')),
    report,
  );
  for (const group of items(root, 'targetGroups')) checkGroup(group, report);
  for (const client of items(root, 'clients')) checkClient(client, report);
  checkGroupNames(root, report);
  checkRoles(root, report);
  const path = at(root, 'store', 'path');
  if (textOf(at(root, 'store', 'kind')) === 'memory' && path !== undefined)
    report(path.path, 'expected no path with kind memory, which keeps nothing on disk');
  return problems;
}

/** Every place where the file gives TLS parameters. */
export function tlsMappings(root: SourceNode): SourceNode[] {
  const ofListeners = items(root, 'listeners').map((listener) => listener.children.get('tls'));
  return [root.children.get('tlsParams'), ...ofListeners, at(root, 'admin', 'tls')].filter((tls) => tls !== undefined);
}

function checkListeners(root: SourceNode, report: Report): void {
  const short = root.children.get('listenAddress');
  const listeners = items(root, 'listeners');
  const given = root.children.get('listeners');
  if (short === undefined && (given === undefined || (Array.isArray(given.value) && listeners.length === 0))) {
    report(['listenAddress'], 'missing; expected "host:port" where clients connect (or a list of listeners)');
  }
  const names = new Map<string, string>();
  if (short !== undefined) names.set('default', `the listener that listenAddress makes in line ${short.start.line}`);
  checkUnique(
    listeners.map((listener) => listener.children.get('name')),
    report,
    names,
  );

  const addresses = [
    short,
    ...listeners.map((listener) => listener.children.get('address')),
    at(root, 'admin', 'address'),
    at(root, 'metrics', 'address'),
  ].filter((node) => node !== undefined);
  const taken = new Map<string, string>();
  if (at(root, 'admin', 'address') === undefined) taken.set(DEFAULT_ADMIN, 'the admin API, unless admin.address says otherwise');
  for (const node of addresses) {
    const address = parseAddress(textOf(node) ?? '', { allowPortZero: true });
    if ('problem' in address || address.port === 0) continue;
    const key = formatAddress(address);
    const holder = taken.get(key);
    if (holder !== undefined) report(node.path, `expected an address of its own; ${key} is taken by ${holder}`);
    else taken.set(key, `line ${node.start.line}`);
  }
  for (const listener of listeners) {
    const routes = listener.children.get('routes');
    if (routes !== undefined && listener.children.has('targetGroup'))
      report(routes.path, 'expected no routes beside targetGroup, which takes every connection');
    if (isPlain(listener)) checkPlain(listener, report);
  }
}

function isPlain(listener: SourceNode): boolean {
  return listener.children.get('plain')?.value === true;
}

/** There is nothing in a plain connection that a name or a protocol could be read from. */
function checkPlain(listener: SourceNode, report: Report): void {
  for (const key of ['tls', 'alpn', 'routes'] as const) {
    const given = listener.children.get(key);
    if (given !== undefined) report(given.path, `expected no ${key} on a plain listener`);
  }
}

function checkTlsGiven(root: SourceNode, report: Report): void {
  if (root.children.has('tlsParams')) return;
  const users = [
    ...(root.children.has('listenAddress') ? ['listenAddress'] : []),
    ...items(root, 'listeners').flatMap((listener, index) =>
      listener.children.has('tls') || isPlain(listener) ? [] : [`listeners[${index}]`],
    ),
    ...(at(root, 'admin', 'tls') === undefined ? ['admin'] : []),
  ];
  if (users.length > 0)
    report(['tlsParams'], `missing; expected a mapping with certificate, privateKey, caCert, used by ${users.slice(0, 5).join(', ')}`);
}

function checkTls(tls: SourceNode, report: Report): void {
  const ciphers = tls.children.get('ciphers');
  if (ciphers === undefined || textOf(tls.children.get('minVersion')) !== 'TLSv1.3') return;
  const names =
    typeof ciphers.value === 'string' ? ciphers.value.split(/[:,\s]+/) : items(tls, 'ciphers').map((item) => textOf(item) ?? '');
  const suites = names.map(suiteName).filter((suite) => suite !== undefined);
  if (suites.length > 0 && !offersTls13(suites.join(':')))
    report(ciphers.path, 'expected a suite of TLS 1.3, such as TLS_AES_128_GCM_SHA256, since minVersion is TLSv1.3');
}

function checkGroup(group: SourceNode, report: Report): void {
  const servers = items(group, 'upstreamServers').map((server) => server.children.get('address') ?? server);
  checkUnique(servers, report, new Map(), (text) => {
    const address = parseAddress(text);
    return 'problem' in address ? text : formatAddress(address);
  });
  if (textOf(group.children.get('algorithm')) === 'resource' && !group.children.has('agentCheck'))
    report([...group.path, 'agentCheck'], 'missing; expected an agentCheck with algorithm resource, which rests on it');
  const tls = group.children.get('upstreamTls');
  if (tls !== undefined && tls.children.has('certificate') !== tls.children.has('privateKey'))
    report(tls.path, 'expected certificate and privateKey together, or neither');
  const check = group.children.get('healthCheck');
  if (check === undefined) return;
  const type = textOf(check.children.get('type'));
  for (const kind of ['http', 'grpc', 'sendExpect'] as const) {
    const settings = check.children.get(kind);
    if (settings !== undefined && type !== kind) report(settings.path, `expected type: ${kind} beside these settings`);
  }
  if (type === 'sendExpect' && !check.children.has('sendExpect'))
    report([...check.path, 'sendExpect'], 'missing; expected a mapping with send and expect, since type is sendExpect');
  const maxInterval = check.children.get('maxInterval');
  const [intervalMs, maxMs] = [parseDuration(textOf(check.children.get('interval')) ?? '5s'), parseDuration(textOf(maxInterval) ?? '')];
  if (maxInterval !== undefined && typeof intervalMs === 'number' && typeof maxMs === 'number' && maxMs < intervalMs) {
    report(maxInterval.path, 'expected a time not shorter than interval');
  }
}

function checkClient(client: SourceNode, report: Report): void {
  const { children, path } = client;
  const several = children.get('allowedTargetGroups');
  if (children.has('allowedTargetGroup') && several !== undefined)
    report(several.path, 'expected either allowedTargetGroup or allowedTargetGroups, found both');
  if (!children.has('allowedTargetGroup') && several === undefined && isMapping(client)) {
    report([...path, 'allowedTargetGroup'], 'missing; expected the name of a target group (or a list as allowedTargetGroups)');
  }
  checkUnique(items(client, 'allowedTargetGroups'), report);
  const rate = at(client, 'limits', 'connectionRate');
  const short = children.get('requests_per_second');
  if (rate !== undefined && short !== undefined)
    report(rate.path, 'expected either requests_per_second or limits.connectionRate, found both');
  const limit = rate?.children.get('limit');
  if (
    limit !== undefined &&
    typeof limit.value === 'number' &&
    limit.value > LONGEST_LOG &&
    textOf(rate?.children.get('algorithm')) === 'slidingWindowLog'
  ) {
    report(limit.path, `expected a whole number from 1 to ${LONGEST_LOG} with slidingWindowLog, found ${found(limit.value)}`);
  }
  const match = children.get('match');
  if (match !== undefined) checkMatchGiven(match, report, 'cn, dns, uri, ou, fingerprint, cidr');
}

function checkGroupNames(root: SourceNode, report: Report): void {
  const names = new Set(
    items(root, 'targetGroups')
      .map((group) => textOf(group.children.get('name')))
      .filter((name) => name !== undefined),
  );
  const listeners = items(root, 'listeners');
  const references = [
    ...[...listeners, ...listeners.flatMap((listener) => items(listener, 'routes'))].map((node) => node.children.get('targetGroup')),
    ...items(root, 'clients').flatMap((client) => [client.children.get('allowedTargetGroup'), ...items(client, 'allowedTargetGroups')]),
  ];
  for (const reference of references) {
    const name = textOf(reference);
    if (reference === undefined || name === undefined || name === '' || names.has(name)) continue;
    const known =
      names.size === 0 ? 'there are none' : `there are ${[...names].slice(0, 5).map(found).join(', ')}${names.size > 5 ? ', …' : ''}`;
    report(reference.path, `expected the name of a target group, found ${found(name)}${hint(name, names)}; ${known}`);
  }
}

function checkRoles(root: SourceNode, report: Report): void {
  const roles = at(root, 'admin', 'roles');
  if (roles === undefined) return;
  for (const entry of Array.isArray(roles.value) ? [...roles.children.values()] : []) checkRoleEntry(entry, report);
  if (Array.isArray(roles.value)) return;
  for (const role of roles.children.values()) for (const entry of role.children.values()) checkMatchGiven(entry, report);
}

/** `{role, match}` or `{role, cn, ...}`. */
function checkRoleEntry(entry: SourceNode, report: Report): void {
  if (!isMapping(entry)) return;
  const match = entry.children.get('match');
  const own = [...entry.children.keys()].filter((key) => key !== 'role' && key !== 'match');
  if (match === undefined && own.length === 0)
    report([...entry.path, 'match'], 'missing; expected at least one of cn, dns, uri, ou, fingerprint');
  if (match !== undefined && own.length > 0) report(match.path, 'expected either match or the keys of a match beside role, found both');
  if (match !== undefined) checkMatchGiven(match, report);
}

/** A match without a key would be everybody, or nobody. */
function checkMatchGiven(match: SourceNode, report: Report, keys = 'cn, dns, uri, ou, fingerprint'): void {
  if (isMapping(match) && match.children.size === 0) report(match.path, `expected at least one of ${keys}`);
}

/** Reports each text that was there before; `seen` says who has the names that are taken from the start. */
function checkUnique(
  nodes: readonly (SourceNode | undefined)[],
  report: Report,
  seen = new Map<string, string>(),
  spelling = (text: string) => text,
): void {
  for (const node of nodes) {
    const text = textOf(node);
    if (node === undefined || text === undefined) continue;
    const key = spelling(text);
    const first = seen.get(key);
    if (first !== undefined) report(node.path, `expected a unique value; ${found(text)} is used by ${first} already`);
    else seen.set(key, `line ${node.start.line}`);
  }
}

/** What is at this path below a node. */
export function at(node: SourceNode, ...path: readonly PathStep[]): SourceNode | undefined {
  return path.reduce<SourceNode | undefined>((child, step) => child?.children.get(step), node);
}

/** The items of a list under this key; none for what is no list. */
export function items(node: SourceNode, key: string): SourceNode[] {
  const child = node.children.get(key);
  return child !== undefined && Array.isArray(child.value) ? [...child.children.values()] : [];
}

/** True for keys with values. */
export function isMapping(node: SourceNode): boolean {
  return typeof node.value === 'object' && node.value !== null && !Array.isArray(node.value);
}

/** The text that a node is; undefined for anything else. */
export function textOf(node: SourceNode | undefined): string | undefined {
  return typeof node?.value === 'string' ? node.value : undefined;
}
