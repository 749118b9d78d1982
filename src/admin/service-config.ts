/** Whole configurations: what one would change, making it the state, going back to an earlier state, writing the state down. */
import { status as Code } from '@grpc/grpc-js';
import type { ConnectionFacts } from '../controlplane/connection-list.ts';
import { BOOTSTRAP_ACTOR, type StoredChange } from '../controlplane/store/store.ts';
import { type BlastRadius, blastRadius, type Difference, diff } from '../domain/diff.ts';
import { DomainError } from '../domain/errors.ts';
import type { Snapshot } from '../domain/model.ts';
import type { Command } from '../domain/state.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import type { Caller } from './caller.ts';
import type { Changes, Conditions } from './changes.ts';
import type { AdminContext, ConfigProblem, ParsedConfig } from './context.ts';
import { closingFrom } from './convert.ts';
import { AdminError } from './errors.ts';
import { refuseLockout } from './lockout.ts';
import { numberOf, pageFrom } from './paging.ts';
import { count } from './replies.ts';
import { summaryOf } from './revision-summary.ts';
import { unary } from './rpc.ts';

type ConfigMethods = Pick<proto.AdminServiceServer, 'planConfig' | 'applyConfig' | 'rollbackConfig' | 'listRevisions' | 'exportConfig'>;

const REVISIONS = 'revisions';
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
/** Live connections are read in parts of so many. */
const CONNECTIONS_AT_ONCE = 1000;

const KIND = {
  added: proto.Difference_Kind.ADDED,
  removed: proto.Difference_Kind.REMOVED,
  changed: proto.Difference_Kind.CHANGED,
} as const;

export function configMethods(context: AdminContext, changes: Changes): ConfigMethods {
  const { authority, connections, drainTimeoutMs, log } = context;

  /** Makes groups and clients those of `wanted`, and ends the connections that this takes away. */
  const replace = async (
    method: string,
    request: Conditions & Parameters<typeof closingFrom>[0],
    caller: Caller,
    wanted: () => Promise<Target> | Target,
  ) => {
    const { revision, differences, closing } = await changes.recorded(method, caller, async () => {
      const closing = closingFrom(request, drainTimeoutMs);
      const target = await wanted();
      for (const client of target.clients) refuseLockout(client, caller);
      let differences: readonly Difference[] = [];
      const command = (current: Snapshot) => {
        const replacing = replacingWith(target, current);
        differences = diff(current, authority.preview(replacing));
        return replacing;
      };
      return { ...(await changes.execute(command, caller, request)), differences: () => differences, closing };
    });
    const closed = await connections.enforce(closing.mode, closing.deadlineMs);
    return { revision: BigInt(revision), differences: differences().map(differenceMessage), connectionsClosed: count(closed) };
  };

  return {
    planConfig: unary(log, async ({ config }) => {
      const wanted = parsed(context, config);
      const live = await everyConnection(context);
      // Taken together, with nothing in between: they are about one state.
      const { snapshot } = authority;
      const next = authority.preview(replacingWith(wanted, snapshot));
      return {
        revision: BigInt(snapshot.revision),
        differences: diff(snapshot, next).map(differenceMessage),
        blastRadius: blastRadiusMessage(blastRadius(snapshot, next, live)),
        needsRestart: [...wanted.needsRestart],
      };
    }),

    applyConfig: unary(log, async (request, caller) => {
      let needsRestart: readonly string[] = [];
      const replaced = await replace('ApplyConfig', request, caller, () => {
        const wanted = parsed(context, request.config);
        needsRestart = wanted.needsRestart;
        return wanted;
      });
      return { ...replaced, needsRestart: [...needsRestart] };
    }),

    rollbackConfig: unary(log, (request, caller) =>
      replace('RollbackConfig', request, caller, async () => {
        const then = await authority.archive.stateAt(Number(request.toRevision));
        if (then === undefined || then.revision === 0) {
          throw new AdminError(
            Code.NOT_FOUND,
            'REVISION_NOT_FOUND',
            `revision ${request.toRevision} is not kept; list the revisions to see which ones are`,
          );
        }
        // Those of now stay, whatever was revoked since.
        return { targetGroups: [...then.targetGroups.values()], clients: [...then.clients.values()], revocations: [] };
      }),
    ),

    listRevisions: unary(log, async ({ pageSize, pageToken }) => {
      const limit = pageSize === 0 ? DEFAULT_PAGE : Math.min(pageSize, MAX_PAGE);
      const found = await authority.archive.history(limit + 1, numberOf(REVISIONS, pageToken));
      const { items, nextPageToken } = pageFrom(REVISIONS, found, limit, ({ revision }) => String(revision));
      return { revisions: items.map(revisionMessage), nextPageToken };
    }),

    exportConfig: unary(log, () => {
      const { snapshot } = authority;
      return { config: context.exportConfig(snapshot), revision: BigInt(snapshot.revision) };
    }),
  };
}

type Target = Pick<ParsedConfig, 'targetGroups' | 'clients' | 'revocations'>;

/** Listeners stay those that run. */
function replacingWith({ targetGroups, clients, revocations }: Target, { listeners }: Snapshot): Command {
  return { kind: 'replaceAll', listeners, targetGroups, clients, revocations };
}

/** @throws AdminError with every problem of the text */
function parsed(context: AdminContext, text: string): ParsedConfig {
  const result = context.parseConfig(text);
  if (!('problems' in result)) return result;
  const violations = result.problems.map(violationOf);
  const [first] = violations;
  if (first === undefined) throw new DomainError('invalid', 'config', 'the configuration cannot be read');
  const more = violations.length === 1 ? '' : ` (and ${violations.length - 1} more)`;
  throw new AdminError(Code.INVALID_ARGUMENT, 'INVALID_CONFIG', `${first.field}: ${first.description}${more}`, violations);
}

/** `config:3:5 clients[0].clientId` */
function violationOf({ line, col, path, expected }: ConfigProblem): { readonly field: string; readonly description: string } {
  const place = line === undefined || col === undefined ? 'config' : `config:${line}:${col}`;
  return { field: path === '' ? place : `${place} ${path}`, description: expected };
}

async function everyConnection({ connections }: AdminContext): Promise<ConnectionFacts[]> {
  const all: ConnectionFacts[] = [];
  let after: readonly number[] | undefined = [];
  while (after !== undefined) {
    const page = await connections.list({}, after, CONNECTIONS_AT_ONCE);
    all.push(...page.connections);
    after = page.next;
  }
  return all;
}

function differenceMessage({ kind, ...same }: Difference): proto.Difference {
  return { kind: KIND[kind], ...same };
}

function blastRadiusMessage({ connectionsDraining, connectionsClosing, lostAccess }: BlastRadius): proto.BlastRadius {
  return {
    connectionsDraining: count(connectionsDraining),
    connectionsClosing: count(connectionsClosing),
    lostAccess: lostAccess.map(({ clientId, targetGroup = '', connections }) => ({
      clientId,
      targetGroup,
      connections: count(connections),
    })),
  };
}

function revisionMessage({ revision, atMs, actor, command, requestId }: StoredChange): proto.Revision {
  // Stored with what it is, so that no certificate passes for the configuration file.
  const who = actor === BOOTSTRAP_ACTOR ? actor : actor.replace(/^certificate /, '');
  return { revision: BigInt(revision), at: new Date(atMs), actor: who, summary: summaryOf(command), requestId };
}
