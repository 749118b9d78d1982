/** The planner's thread: what controlplane/planner.ts asks, answered with the configuration's reader and writer. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Running } from './config/config.ts';
import { exportConfig } from './config/export.ts';
import { filesNamedBy, namersOfOtherFiles } from './config/named-files.ts';
import { parseForRunning } from './config/needs-restart.ts';
import type { FromPlanner, Goal, ToPlanner } from './controlplane/planner.ts';
import { decodeSnapshot } from './controlplane/store/codec.ts';
import { madeDifferent } from './controlplane/store/made-different.ts';
import { replayed } from './controlplane/store/replay.ts';
import type { Client, Revision, Snapshot } from './domain/model.ts';
import { isSameMatch, type Overlap, overlapsAmong } from './domain/overlap.ts';
import { planOf, type Wanted } from './domain/plan.ts';
import { unroutableClients } from './domain/unroutable.ts';

type Read =
  | { readonly wanted: Wanted; readonly backTo?: Revision; readonly needsRestart: readonly string[]; readonly withoutFiles: boolean }
  | Extract<FromPlanner, { readonly kind: 'unreadable' }>;

function run(port: MessagePort, running: Running): void {
  let parts: string[] = [];
  let last: Read | undefined;

  const state = (): Snapshot => {
    const json = parts.join('');
    parts = [];
    return decodeSnapshot(json);
  };
  const read = (goal: Goal | undefined, before: Snapshot): Read => {
    last = goal === undefined ? last : readGoal(goal, running, before);
    if (last === undefined) throw new Error('the planner was asked about the goal of the question before, and there was none');
    return last;
  };
  const answer = (question: Exclude<ToPlanner, { readonly kind: 'state' }>): FromPlanner => {
    switch (question.kind) {
      case 'plan': {
        const before = state();
        const goal = read(question.goal, before);
        if (!('wanted' in goal)) return goal;
        const plan = planOf(before, goal.wanted, goal.backTo);
        const overlaps = newOverlaps(plan.command.clients.put, goal.wanted.clients, before);
        const listeners = goal.wanted.listeners ?? before.listeners;
        const unroutable = unroutableClients(goal.wanted.clients, listeners);
        const targetGroups = new Map(goal.wanted.targetGroups.map((group) => [group.name, group]));
        const unread = goal.withoutFiles ? namersOfOtherFiles({ listeners, targetGroups }, before) : [];
        return { kind: 'planned', ...plan, overlaps, unroutable, unread, needsRestart: goal.needsRestart };
      }
      case 'export':
        return { kind: 'exported', text: exportConfig(running, state()) };
      case 'retell':
        return { kind: 'retold', made: madeDifferent(replayed(question.before), question.changes) };
    }
  };
  port.on('message', (message: ToPlanner) => {
    if (message.kind === 'state') parts.push(message.part);
    else port.postMessage(answer(message));
  });
}

function readGoal(goal: Goal, running: Running, before: Snapshot): Read {
  if (goal.kind === 'recorded') {
    const { targetGroups, clients } = replayed(goal.recorded);
    // Certificates that are revoked by now stay so, whatever was revoked then; and the listeners stay, whose files may be gone.
    const wanted = { targetGroups: [...targetGroups.values()], clients: [...clients.values()], revocations: [] };
    return { wanted, backTo: goal.revision, needsRestart: [], withoutFiles: false };
  }
  const { text, withoutFiles = false } = goal;
  const named = withoutFiles ? filesNamedBy(before, running.admin.tls) : undefined;
  const config = parseForRunning(running, text, named === undefined ? {} : { exists: (file) => named.has(file) });
  if ('problems' in config) return { kind: 'unreadable', problems: config.problems };
  const { needsRestart, ...wanted } = config;
  return { wanted, needsRestart, withoutFiles };
}

function newOverlaps(put: readonly Client[], all: readonly Client[], { clients }: Snapshot): Overlap[] {
  const changed = new Set(put.filter((client) => !isSameMatch(clients.get(client.clientId), client)).map(({ clientId }) => clientId));
  if (changed.size === 0) return [];
  return overlapsAmong(all).filter(({ narrow, wide }) => changed.has(narrow) || changed.has(wide));
}

if (parentPort === null) throw new Error('this file runs as the planner thread of lbd');
// What main sends as workerData is Running: daemon.ts is its only author.
run(parentPort, workerData as Running);
