/**
 * What a load agent says of its server, in the format of HAProxy's agent-check: one line of words parted by spaces, tabs or commas, with
 * an optional description after `#`. A word changes what it names, and what is not named stays as it was.
 */

/** `down` comes from down, failed and stopped alike; `drain` and `maintenance` end with `ready` only, `down` with `up`. */
export const AGENT_STANDINGS = ['up', 'down', 'drain', 'maintenance', 'drainAndDown', 'maintenanceAndDown'] as const;
export type AgentStanding = (typeof AGENT_STANDINGS)[number];

export interface AgentState {
  /** Of the configured weight, what the server is good for now; undefined: it has not said, which is all of it. */
  readonly percent: number | undefined;
  /** In place of the configured bound; undefined: it has not said. 0: none, as in HAProxy's maxconn. */
  readonly maxConnections: number | undefined;
  readonly standing: AgentStanding;
}

/** Of a server whose agent has said nothing yet. */
export const SILENT_AGENT: AgentState = { percent: undefined, maxConnections: undefined, standing: 'up' };

type AdminWord = 'ready' | 'drain' | 'maintenance';

/** What one line says; undefined: nothing of that. */
export interface AgentReport {
  readonly percent: number | undefined;
  readonly maxConnections: number | undefined;
  readonly admin: AdminWord | undefined;
  readonly operating: 'up' | 'down' | undefined;
}

const ADMIN: Readonly<Record<string, AdminWord>> = { ready: 'ready', drain: 'drain', maint: 'maintenance' };
const OPERATING: Readonly<Record<string, 'up' | 'down'>> = { up: 'up', down: 'down', failed: 'down', fail: 'down', stopped: 'down' };

/** The greatest weight there is, as a percentage of the least. */
const MOST_PERCENT = 25_600;
const MOST_CONNECTIONS = 1_000_000_000;

/**
 * Reads the first line of an answer. Words are taken whatever their case, the last of a kind counts, and words that mean nothing are
 * left out, as HAProxy does. A problem: there was nothing in it that means anything.
 */
export function parseAgentReport(answer: string): AgentReport | { readonly problem: string } {
  const line = answer.split(/[\r\n]/, 1)[0] ?? '';
  const words = (line.split('#', 1)[0] ?? '').toLowerCase().split(/[ \t,]+/);
  let report: AgentReport = { percent: undefined, maxConnections: undefined, admin: undefined, operating: undefined };
  let understood = 0;
  for (const word of words) {
    const said = meaningOf(word);
    if (said === undefined) continue;
    report = { ...report, ...said };
    understood++;
  }
  return understood === 0 ? { problem: line.trim() === '' ? 'it said nothing' : 'it said nothing that means anything' } : report;
}

function meaningOf(word: string): Partial<AgentReport> | undefined {
  const percent = /^(\d{1,5})%$/.exec(word)?.[1];
  if (percent !== undefined) return { percent: Math.min(Number(percent), MOST_PERCENT) };
  const most = /^maxconn:(\d{1,15})$/.exec(word)?.[1];
  if (most !== undefined) return { maxConnections: Math.min(Number(most), MOST_CONNECTIONS) };
  const admin = Object.hasOwn(ADMIN, word) ? ADMIN[word] : undefined;
  if (admin !== undefined) return { admin };
  const operating = Object.hasOwn(OPERATING, word) ? OPERATING[word] : undefined;
  return operating === undefined ? undefined : { operating };
}

/** The state after a report. */
export function afterReport(before: AgentState, { percent, maxConnections, admin, operating }: AgentReport): AgentState {
  const isDown = operating === undefined ? isAgentDown(before.standing) : operating === 'down';
  const mode = admin ?? adminOf(before.standing);
  return {
    percent: percent ?? before.percent,
    maxConnections: maxConnections ?? before.maxConnections,
    standing: standingOf(mode, isDown),
  };
}

export function isAgentDown(standing: AgentStanding): boolean {
  return standing === 'down' || standing === 'drainAndDown' || standing === 'maintenanceAndDown';
}

/** Why the agent keeps new connections away; undefined: it does not. */
export function agentObstacle({ standing }: AgentState): 'agentDown' | 'agentDrain' | 'agentMaintenance' | undefined {
  if (isAgentDown(standing)) return 'agentDown';
  if (standing === 'drain') return 'agentDrain';
  return standing === 'maintenance' ? 'agentMaintenance' : undefined;
}

function adminOf(standing: AgentStanding): AdminWord {
  if (standing === 'drain' || standing === 'drainAndDown') return 'drain';
  return standing === 'maintenance' || standing === 'maintenanceAndDown' ? 'maintenance' : 'ready';
}

function standingOf(mode: AdminWord, isDown: boolean): AgentStanding {
  switch (mode) {
    case 'ready':
      return isDown ? 'down' : 'up';
    case 'drain':
      return isDown ? 'drainAndDown' : 'drain';
    case 'maintenance':
      return isDown ? 'maintenanceAndDown' : 'maintenance';
  }
}
