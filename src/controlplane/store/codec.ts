/**
 * Snapshot and Command as JSON text, with a format version. Reading checks every field, and refuses fields that it does not
 * know: a state written by a later version is never half-read.
 */
import type { Client, Listener, Revocation, Snapshot, TargetGroup } from '../../domain/model.ts';
import { assertInvariants, type Command, type Replacement } from '../../domain/state.ts';
import { type Decode, DecodeError, list, object, oneOf, optional, orElse, text, whole } from './decode.ts';
import { client, group, listener, revocation, server } from './entries.ts';
import { clientOfFirstFormat, commandOfFirstFormat } from './first-format.ts';

const FIRST_FORMAT = 1;
const FORMAT = 2;

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

/** @throws DecodeError when the text is not a snapshot of these formats, or one that no sequence of changes could have made. */
export function decodeSnapshot(json: string): Snapshot {
  const { format, revision, listeners, targetGroups, clients, revocations } = snapshotDocument(parse(json), 'snapshot');
  const read = (client: Client) => (format === FIRST_FORMAT ? clientOfFirstFormat(client) : client);
  const snapshot: Snapshot = {
    revision,
    listeners,
    targetGroups: new Map(targetGroups.map((group) => [group.name, group])),
    clients: new Map(clients.map((client) => [client.clientId, read(client)])),
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

/** @throws DecodeError when the text is not a command of these formats. */
export function decodeCommand(json: string): Command {
  const { format, command } = commandDocument(parse(json), '');
  return format === FIRST_FORMAT ? commandOfFirstFormat(command) : command;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new DecodeError('document', 'JSON', { cause: error });
  }
}

const format: Decode<number> = (value, at) => {
  if (value === FORMAT || value === FIRST_FORMAT) return value;
  throw new DecodeError(at, `format ${FORMAT}, which this version of lbd writes, or ${FIRST_FORMAT}, which it reads`);
};

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
