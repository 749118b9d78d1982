import { setTimeout as delay } from 'node:timers/promises';
import type { AdminServiceServer, RemoveUpstreamServerRequest } from '../gen/lb/admin/v1/admin.ts';
import type { Changes } from './changes.ts';
import type { AdminContext } from './context.ts';
import { addressFrom, msFrom } from './convert-values.ts';
import { count } from './replies.ts';
import { serverStream } from './rpc.ts';

const POLL_MS = 100;
const REPORT_MS = 1000;
/** How long connections that were reset may take to be gone from the count. */
const RESET_MS = 1000;

/** A server on its way out. */
interface Drain {
  readonly group: string;
  readonly address: string;
  /** False: the connections left at the deadline are left alone. */
  readonly resetAtDeadline: boolean;
  readonly deadlineMs: number;
  connectionsLeft(): number;
}

interface Progress {
  readonly left: number;
  readonly reset: number;
  readonly done: boolean;
}

/**
 * RemoveUpstreamServer: the change first, then the connections left: at once, every second, and at the end. A caller that
 * goes away stops the report, not the removal nor the reset at its deadline.
 */
export function removeUpstreamServer(
  context: AdminContext,
  changes: Changes,
  stopping: AbortSignal,
): AdminServiceServer['removeUpstreamServer'] {
  return serverStream(context.log, async (request, replies, caller) => {
    const { revision, replayed, drain } = await changes.recorded('RemoveUpstreamServer', caller, async () => {
      const drain = drainFrom(request, context);
      const command = { kind: 'removeUpstreamServer', group: drain.group, address: drain.address } as const;
      return { ...(await changes.execute(command, caller, request)), drain };
    });
    const send = ({ left, reset, done }: Progress) =>
      replies.send({ revision: BigInt(revision), connectionsLeft: count(left), done, connectionsReset: count(reset) });
    if (replayed) {
      send({ left: 0, reset: 0, done: true });
      return;
    }
    const signal = drain.resetAtDeadline ? stopping : AbortSignal.any([stopping, replies.signal]);
    for await (const progress of drained(context, drain, signal)) {
      if (progress.done || replies.isKeepingUp()) send(progress);
    }
  });
}

function drainFrom(request: RemoveUpstreamServerRequest, { stats, drainTimeoutMs }: AdminContext): Drain {
  const { targetGroup: group, resetAtDeadline } = request;
  const address = addressFrom(request.server, 'server');
  const deadlineMs = msFrom(request.deadline, 'deadline') ?? drainTimeoutMs;
  // Taken now, because the counter cannot be found by name once the server is gone.
  return { group, address, resetAtDeadline, deadlineMs, connectionsLeft: stats.activeCounter(group, address) };
}

async function* drained(context: AdminContext, drain: Drain, signal: AbortSignal): AsyncGenerator<Progress> {
  const { connectionsLeft, deadlineMs } = drain;
  const startMs = performance.now();
  let nextReportMs = startMs;
  while (connectionsLeft() > 0 && performance.now() < startMs + deadlineMs) {
    if (performance.now() >= nextReportMs) {
      yield { left: connectionsLeft(), reset: 0, done: false };
      nextReportMs += REPORT_MS;
    }
    if (!(await waited(POLL_MS, signal))) return;
  }
  const reset = connectionsLeft() > 0 && drain.resetAtDeadline ? await resetLeft(context, drain, signal) : 0;
  yield { left: connectionsLeft(), reset, done: true };
}

async function resetLeft(
  { authority, connections }: AdminContext,
  { group, address, connectionsLeft }: Drain,
  signal: AbortSignal,
): Promise<number> {
  // Added again meanwhile: the connections cannot be told from those of the new server, which nobody wants reset.
  const isBack = authority.snapshot.targetGroups.get(group)?.servers.some((server) => server.address === address);
  if (isBack === true) return 0;
  const { served: reset } = await connections.close({ group, server: address }, 'upstream_removed');
  const endMs = performance.now() + RESET_MS;
  while (connectionsLeft() > 0 && performance.now() < endMs && (await waited(POLL_MS, signal)));
  return reset;
}

/** False: the wait was broken off. */
function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  return delay(ms, true, { signal, ref: false }).catch(() => false);
}
