/**
 * Snapshot and Command as JSON text, with a format version. Reading checks every field, and refuses fields that it does not
 * know: a state written by a later version is never half-read.
 */
import {
  DEFAULT_GROUP,
  DEFAULT_HASH_BALANCE_FACTOR,
  DEFAULT_OUTLIER_DETECTION,
  DEFAULT_RESOLVE_INTERVAL_MS,
} from '../../domain/defaults.ts';
import {
  type Address,
  type AddressGuard,
  type AgentCheck,
  ALGORITHMS,
  type Bandwidth,
  CHECK_TYPES,
  type Client,
  type ConnectionRate,
  type GrpcCheck,
  type HealthCheck,
  type HttpCheck,
  type IdentityMatch,
  type KeyPairFiles,
  type Limits,
  type Listener,
  type OutlierDetection,
  PROXY_PROTOCOL_VERSIONS,
  type Queue,
  RATE_ALGORITHMS,
  type Rebalance,
  type Revocation,
  type Route,
  SERVER_MODES,
  type SendExpectCheck,
  type Snapshot,
  type TargetGroup,
  type TlsParams,
  type UpstreamServer,
  type UpstreamTls,
} from '../../domain/model.ts';
import { assertInvariants, type Command, type Replacement } from '../../domain/state.ts';
import { type Decode, DecodeError, flag, list, object, oneOf, optional, orElse, text, whole } from './decode.ts';

const FORMAT = 1;

export function encodeSnapshot(snapshot: Snapshot): string {
  return [...snapshotParts(snapshot)].join('');
}

/** Entries of a list in one part: one that takes a millisecond or two to write. A group has a hundred servers, or more. */
const PART = { targetGroups: 10, others: 1000 } as const;

/** The same text in parts, for those who have other things to do between them. */
export function* snapshotParts({ revision, listeners, targetGroups, clients, revocations }: Snapshot): Generator<string> {
  yield `{"format":${FORMAT},"revision":${revision},"listeners":${JSON.stringify(listeners)},"targetGroups":[`;
  yield* listParts([...targetGroups.values()], PART.targetGroups);
  yield '],"clients":[';
  yield* listParts([...clients.values()], PART.others);
  yield '],"revocations":[';
  yield* listParts([...revocations.values()], PART.others);
  yield ']}';
}

function* listParts(entries: readonly unknown[], size: number): Generator<string> {
  for (let at = 0; at < entries.length; at += size) {
    const text = JSON.stringify(entries.slice(at, at + size));
    yield `${at === 0 ? '' : ','}${text.slice(1, -1)}`;
  }
}

/** @throws DecodeError when the text is not a snapshot of this format, or one that no sequence of changes could have made. */
export function decodeSnapshot(json: string): Snapshot {
  const { revision, listeners, targetGroups, clients, revocations } = snapshotDocument(parse(json), 'snapshot');
  const snapshot: Snapshot = {
    revision,
    listeners,
    targetGroups: new Map(targetGroups.map((group) => [group.name, group])),
    clients: new Map(clients.map((client) => [client.clientId, client])),
    revocations: new Map(revocations.map((revocation) => [revocation.fingerprint, revocation])),
  };
  if (snapshot.targetGroups.size !== targetGroups.length || snapshot.clients.size !== clients.length) {
    throw new DecodeError('snapshot', 'every name once');
  }
  try {
    assertInvariants(snapshot);
  } catch (error) {
    throw new DecodeError('snapshot', 'a consistent state', { cause: error });
  }
  return snapshot;
}

export function encodeCommand(command: Command): string {
  return JSON.stringify({ format: FORMAT, command });
}

/** @throws DecodeError when the text is not a command of this format. */
export function decodeCommand(json: string): Command {
  return commandDocument(parse(json), '').command;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new DecodeError('document', 'JSON', { cause: error });
  }
}

const format: Decode<number> = (value, at) => {
  if (value !== FORMAT) throw new DecodeError(at, `format ${FORMAT}, the one this version of lbd reads and writes`);
  return FORMAT;
};

const address = object<Address>({ host: text, port: whole });

const keyPairFiles = object<KeyPairFiles>({ certificate: text, privateKey: text });

const tlsParams = object<TlsParams>({
  certificate: text,
  privateKey: text,
  certificates: orElse(list(keyPairFiles), []),
  caCert: text,
  crl: optional(text),
  minVersion: oneOf(['TLSv1.2', 'TLSv1.3']),
  ciphers: text,
  sessionTickets: orElse(flag, false),
});

const addressGuard = object<AddressGuard>({
  connectionsPerSecond: optional(whole),
  burst: whole,
  pendingHandshakes: optional(whole),
  concurrentConnections: optional(whole),
});

const route = object<Route>({ sni: optional(text), alpn: optional(text), targetGroup: text });

const listener = object<Listener>({
  name: text,
  address,
  tls: optional(tlsParams),
  alpn: orElse(list(text), []),
  acceptProxyProtocol: orElse(list(text), []),
  perAddress: optional(addressGuard),
  targetGroup: optional(text),
  routes: list(route),
});

const server = object<UpstreamServer>({
  address: text,
  weight: whole,
  maxConnections: optional(whole),
  backup: flag,
  mode: orElse(oneOf(SERVER_MODES), 'ready'),
});

const httpCheck = object<HttpCheck>({ path: text, host: optional(text), statusFrom: whole, statusTo: whole, body: optional(text) });
const grpcCheck = object<GrpcCheck>({ service: text, authority: optional(text) });
const sendExpectCheck = object<SendExpectCheck>({ send: text, expect: text });

const healthCheck = object<HealthCheck>({
  type: oneOf(CHECK_TYPES),
  intervalMs: whole,
  timeoutMs: whole,
  unhealthyThreshold: whole,
  healthyThreshold: whole,
  maxIntervalMs: whole,
  http: optional(httpCheck),
  grpc: optional(grpcCheck),
  sendExpect: optional(sendExpectCheck),
});

const outlierDetection = object<OutlierDetection>({
  consecutiveFailures: whole,
  baseEjectionMs: whole,
  maxEjectionMs: whole,
  maxEjectionPercent: whole,
});
const queue = object<Queue>({ maxLength: whole, timeoutMs: whole });
const agentCheck = object<AgentCheck>({ port: whole, intervalMs: whole, timeoutMs: whole });
const rebalance = object<Rebalance>({ perSecond: whole });
const upstreamTls = object<UpstreamTls>({
  ca: optional(text),
  serverName: optional(text),
  clientCertificate: optional(keyPairFiles),
  insecureSkipVerify: flag,
});

const group = object<TargetGroup>({
  name: text,
  algorithm: oneOf(ALGORITHMS),
  servers: list(server),
  healthCheck,
  connectTimeoutMs: whole,
  retries: whole,
  onUnhealthy: oneOf(['keep', 'close']),
  slowStartMs: orElse(whole, DEFAULT_GROUP.slowStartMs),
  panicThreshold: orElse(whole, DEFAULT_GROUP.panicThreshold),
  outlierDetection: orElse(outlierDetection, DEFAULT_OUTLIER_DETECTION),
  queue: optional(queue),
  hashBalanceFactor: orElse(whole, DEFAULT_HASH_BALANCE_FACTOR),
  agentCheck: optional(agentCheck),
  rebalance: optional(rebalance),
  sendProxyProtocol: optional(oneOf(PROXY_PROTOCOL_VERSIONS)),
  upstreamTls: optional(upstreamTls),
  resolveIntervalMs: orElse(whole, DEFAULT_RESOLVE_INTERVAL_MS),
});

const match = object<IdentityMatch>({
  cn: optional(text),
  dns: optional(text),
  uri: optional(text),
  ou: optional(text),
  fingerprint: optional(text),
  cidr: optional(text),
});

const connectionRate = object<ConnectionRate>({
  algorithm: oneOf(RATE_ALGORITHMS),
  limit: whole,
  windowMs: whole,
  burst: whole,
  action: oneOf(['reset', 'close', 'delay']),
  maxDelayMs: whole,
});

const bandwidth = object<Bandwidth>({ uploadBytesPerSecond: optional(whole), downloadBytesPerSecond: optional(whole) });

const limits = object<Limits>({
  connectionRate: optional(connectionRate),
  concurrentConnections: optional(whole),
  bandwidth: optional(bandwidth),
  shadow: orElse(flag, false),
});

const client = object<Client>({ clientId: text, match, allowedTargetGroups: list(text), limits });

const revocation = object<Revocation>({ fingerprint: text, comment: text, atMs: whole });

function replacement<T>(entry: Decode<T>): Decode<Replacement<T>> {
  return object<Replacement<T>>({ put: list(entry), removed: list(text) });
}

type Kind = Command['kind'];
type CommandOf<K extends Kind> = Extract<Command, { readonly kind: K }>;

const COMMANDS: { readonly [K in Kind]: Decode<CommandOf<K>> } = {
  replaceAll: object<CommandOf<'replaceAll'>>({
    kind: oneOf(['replaceAll']),
    listeners: list(listener),
    targetGroups: list(group),
    clients: list(client),
    revocations: orElse(list(revocation), []),
  }),
  replaceSome: object<CommandOf<'replaceSome'>>({
    kind: oneOf(['replaceSome']),
    listeners: optional(list(listener)),
    targetGroups: replacement(group),
    clients: replacement(client),
    revocations: list(revocation),
    makes: object<CommandOf<'replaceSome'>['makes']>({ targetGroups: whole, servers: whole, clients: whole }),
    backTo: optional(whole),
  }),
  setListeners: object<CommandOf<'setListeners'>>({ kind: oneOf(['setListeners']), listeners: list(listener) }),
  addTargetGroup: object<CommandOf<'addTargetGroup'>>({ kind: oneOf(['addTargetGroup']), group }),
  removeTargetGroup: object<CommandOf<'removeTargetGroup'>>({ kind: oneOf(['removeTargetGroup']), name: text }),
  updateTargetGroup: object<CommandOf<'updateTargetGroup'>>({ kind: oneOf(['updateTargetGroup']), group }),
  addUpstreamServer: object<CommandOf<'addUpstreamServer'>>({ kind: oneOf(['addUpstreamServer']), group: text, server }),
  removeUpstreamServer: object<CommandOf<'removeUpstreamServer'>>({ kind: oneOf(['removeUpstreamServer']), group: text, address: text }),
  setUpstreamServer: object<CommandOf<'setUpstreamServer'>>({ kind: oneOf(['setUpstreamServer']), group: text, server }),
  addClient: object<CommandOf<'addClient'>>({ kind: oneOf(['addClient']), client }),
  updateClient: object<CommandOf<'updateClient'>>({ kind: oneOf(['updateClient']), client }),
  removeClient: object<CommandOf<'removeClient'>>({ kind: oneOf(['removeClient']), clientId: text }),
  revokeCertificate: object<CommandOf<'revokeCertificate'>>({ kind: oneOf(['revokeCertificate']), revocation }),
};

const command: Decode<Command> = (value, at) => {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
  if (typeof kind !== 'string' || !isKind(kind)) throw new DecodeError(`${at}.kind`, `one of ${Object.keys(COMMANDS).join(', ')}`);
  return COMMANDS[kind](value, at);
};

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(COMMANDS, kind);
}

const commandDocument = object<{ format: number; command: Command }>({ format, command });

interface SnapshotDocument {
  readonly format: number;
  readonly revision: number;
  readonly listeners: readonly Listener[];
  readonly targetGroups: readonly TargetGroup[];
  readonly clients: readonly Client[];
  readonly revocations: readonly Revocation[];
}

const snapshotDocument = object<SnapshotDocument>({
  format,
  revision: whole,
  listeners: list(listener),
  targetGroups: list(group),
  clients: list(client),
  revocations: orElse(list(revocation), []),
});
