/** Whole configurations: what one would change, making it the state, going back to an earlier state, writing the state down. */
import { status as Code } from '@grpc/grpc-js';
import type { ConnectionFacts } from '../controlplane/connection-list.ts';
import type { ConfigProblem, Goal, Planned, Planner } from '../controlplane/planner.ts';
import { isUpdate, type Made } from '../controlplane/store/made-different.ts';
import { BOOTSTRAP_ACTOR, RevisionConflictError, type StoredChange } from '../controlplane/store/store.ts';
import { nextTurn } from '../controlplane/turns.ts';
import { type BlastRadius, blastRadius, type Difference } from '../domain/diff.ts';
import { DomainError } from '../domain/errors.ts';
import type { Snapshot } from '../domain/model.ts';
import { datedRevocations } from '../domain/revocations.ts';
import { uselessRevocations } from '../domain/useless-revocation.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import type { MayCall } from './authorisation.ts';
import type { Caller } from './caller.ts';
import type { Changes, Conditions } from './changes.ts';
import type { AdminContext } from './context.ts';
import { closingFrom } from './convert.ts';
import { AdminError, inOneLine } from './errors.ts';
import type { LockoutGuard } from './lockout.ts';
import { numberOf, pageFrom } from './paging.ts';
import { count, endedMessage } from './replies.ts';
import { summaryOf } from './revision-summary.ts';
import { unary } from './rpc.ts';

type ConfigMethods = Pick<proto.AdminServiceServer, 'planConfig' | 'applyConfig' | 'rollbackConfig' | 'listRevisions' | 'exportConfig'>;

const REVISIONS = 'revisions';
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
/** Times that one call is planned while the state changes under it. */
const PLANNED_AT_MOST = 5;
/** So many listeners and groups are named whose files were not looked at. */
const UNREAD_NAMED = 5;
/** Live connections are read in parts of so many. */
const CONNECTIONS_AT_ONCE = 1000;

const KIND = {
  added: proto.Difference_Kind.ADDED,
  removed: proto.Difference_Kind.REMOVED,
  changed: proto.Difference_Kind.CHANGED,
} as const;

export function configMethods(context: AdminContext, changes: Changes, guard: LockoutGuard, mayCall: MayCall): ConfigMethods {
  const { authority, certificates, connections, drainTimeoutMs, log, planner } = context;

  /** Makes listeners, groups and clients those of `goal`, and ends the connections that this takes away. */
  const replace = async (method: string, request: ReplaceRequest, caller: Caller, goal: () => Promise<Goal> | Goal) => {
    const { revision, replayed, planned, warnings, closing, before } = await changes.recorded(method, caller, async () => {
      const closing = closingFrom(request, drainTimeoutMs);
      return { ...(await planAndExecute(await goal(), request, caller)), closing };
    });
    const ended = await connections.enforce(closing.mode, closing.deadlineMs);
    const draining = replayed ? 0 : blastRadius(before, authority.snapshot, await everyConnection(context)).connectionsDraining;
    return {
      revision: BigInt(revision),
      differences: replayed ? [] : planned.differences.map(differenceMessage),
      ...endedMessage(ended),
      connectionsDraining: count(draining),
      warnings: [...warnings],
      alreadyApplied: replayed,
      needsRestart: [...planned.needsRestart],
    };
  };

  /** Plans on the state as it is and executes the plan; plans again when the state has changed in between. */
  const planAndExecute = async (goal: Goal, request: Conditions, caller: Caller) => {
    for (let attempt = 1; ; attempt++) {
      const state = authority.snapshot;
      const planned = await readable(planner.plan(goal, state));
      let warnings: readonly string[] = [];
      const command = (current: Snapshot) => {
        if (current !== state) throw new RevisionConflictError(state.revision, current.revision);
        warnings = warningsOf(planned, guard.checkPlan(planned, current, caller));
        return { ...planned.command, revocations: datedRevocations(planned.command.revocations, Date.now()) };
      };
      try {
        return { ...(await changes.execute(command, caller, request)), planned, warnings, before: state };
      } catch (error) {
        const hasMoved = error instanceof RevisionConflictError && request.expectedRevision === 0n;
        if (!hasMoved || attempt === PLANNED_AT_MOST) throw error;
      }
    }
  };

  const warningsOf = (planned: Planned, doubts: readonly string[]) => [
    ...doubts,
    ...planned.unroutable,
    ...uselessRevocations(planned.command.revocations, certificates.inUse()),
    ...listenerWarnings(planned),
  ];

  return {
    planConfig: unary(log, async ({ config: text }, caller) => {
      const state = authority.snapshot;
      // Who may not apply it learns nothing of the machine's files by it, and has none read on this thread.
      const readsFiles = mayCall('ApplyConfig', caller);
      const planned = await readable(planner.plan({ kind: 'config', text, withoutFiles: !readsFiles }, state));
      const live = await everyConnection(context);
      // A turn for each step: they are long when everything differs.
      const warnings = [...warningsOf(planned, guard.checkPlan(planned, state, caller)), ...unreadWarnings(planned.unread)];
      await nextTurn();
      const next = authority.preview(planned.command, state, { readsFiles });
      await nextTurn();
      const radius = blastRadius(state, next, live);
      await nextTurn();
      return {
        revision: BigInt(state.revision),
        differences: planned.differences.map(differenceMessage),
        blastRadius: blastRadiusMessage(radius),
        needsRestart: [...planned.needsRestart],
        warnings,
      };
    }),

    applyConfig: unary(log, (request, caller) => replace('ApplyConfig', request, caller, () => ({ kind: 'config', text: request.config }))),

    rollbackConfig: unary(log, (request, caller) =>
      replace('RollbackConfig', request, caller, async () => {
        const revision = Number(request.toRevision);
        const recorded = revision === 0 ? undefined : await authority.archive.recorded(revision);
        if (recorded === undefined) {
          throw new AdminError(
            Code.NOT_FOUND,
            'REVISION_NOT_FOUND',
            `revision ${request.toRevision} is not kept; list the revisions to see which ones are`,
          );
        }
        return { kind: 'recorded', revision, recorded };
      }),
    ),

    listRevisions: unary(log, async ({ pageSize, pageToken }) => {
      const limit = pageSize === 0 ? DEFAULT_PAGE : Math.min(pageSize, MAX_PAGE);
      const found = await authority.archive.history(limit + 1, numberOf(REVISIONS, pageToken));
      const { items, nextPageToken } = pageFrom(REVISIONS, found, limit, ({ revision }) => String(revision));
      const made = await madeBy(context, items);
      return { revisions: items.map((change) => revisionMessage(change, made.get(change.revision))), nextPageToken };
    }),

    exportConfig: unary(log, async () => {
      const { snapshot } = authority;
      return { config: await planner.export(snapshot), revision: BigInt(snapshot.revision) };
    }),
  };
}

type ReplaceRequest = Conditions & Parameters<typeof closingFrom>[0];

/** @throws AdminError with every problem of the text */
async function readable(answer: ReturnType<Planner['plan']>): Promise<Planned> {
  const result = await answer;
  if (!('problems' in result)) return result;
  const violations = result.problems.map(violationOf);
  if (violations.length === 0) throw new DomainError('invalid', 'config', 'the configuration cannot be read');
  throw new AdminError(Code.INVALID_ARGUMENT, 'INVALID_CONFIG', inOneLine(violations), violations);
}

function listenerWarnings({ command }: Planned): readonly string[] {
  return command.listeners === undefined
    ? []
    : ['listeners change: lbd takes those of its own file when it starts, so the same is to stand there'];
}

/** One line for all. */
function unreadWarnings(unread: readonly string[]): readonly string[] {
  if (unread.length === 0) return [];
  const more = unread.length > UNREAD_NAMED ? ` and ${unread.length - UNREAD_NAMED} more` : '';
  const whose = `${unread.slice(0, UNREAD_NAMED).join(', ')}${more}`;
  return [
    `TLS files were not looked at, since your role may not apply: those of ${whose}, which are not in use so yet; a plan by an admin says whether they can be served`,
  ];
}

/** What the updates among these changes of the history made different; they are newest first and without gaps. */
async function madeBy({ authority, planner }: AdminContext, changes: readonly StoredChange[]): Promise<Made> {
  const first = changes.findLastIndex(({ command }) => isUpdate(command));
  const before = changes[first];
  const recorded = before && (await authority.archive.recorded(before.revision - 1));
  return recorded === undefined ? new Map() : planner.retell(recorded, changes.slice(0, first + 1).toReversed());
}

/** `config:3:5 clients[0].clientId` */
function violationOf({ line, col, path, expected }: ConfigProblem): { readonly field: string; readonly description: string } {
  const place = line === undefined || col === undefined ? 'config' : `config:${line}:${col}`;
  return { field: path === '' ? place : `${place} ${path}`, description: expected };
}

async function everyConnection({ connections }: AdminContext): Promise<Iterable<ConnectionFacts>> {
  // One that is served meanwhile is told twice: while it waits, and at the end.
  const all = new Map<string, ConnectionFacts>();
  let after: readonly number[] | undefined = [];
  while (after !== undefined) {
    const page = await connections.list({}, after, CONNECTIONS_AT_ONCE);
    for (const connection of page.connections) all.set(connection.id, connection);
    after = page.next;
  }
  return all.values();
}

function differenceMessage({ kind, ...same }: Difference): proto.Difference {
  return { kind: KIND[kind], ...same };
}

function blastRadiusMessage({
  connectionsDraining,
  connectionsClosing,
  waitingRefused,
  lostAccess,
  revoked,
}: BlastRadius): proto.BlastRadius {
  return {
    connectionsDraining: count(connectionsDraining),
    connectionsClosing: count(connectionsClosing),
    waitingRefused: count(waitingRefused),
    lostAccess: lostAccess.map(({ clientId, targetGroup = '', connections }) => ({
      clientId,
      targetGroup,
      connections: count(connections),
    })),
    revoked: revoked.map(({ connections, ...same }) => ({ ...same, connections: count(connections) })),
  };
}

function revisionMessage(
  { revision, atMs, actor, command, requestId }: StoredChange,
  made: readonly Difference[] | undefined,
): proto.Revision {
  // Stored with what it is, so that no certificate passes for the configuration file.
  const who = actor === BOOTSTRAP_ACTOR ? actor : actor.replace(/^certificate /, '');
  return { revision: BigInt(revision), at: new Date(atMs), actor: who, summary: summaryOf(command, made), requestId };
}
