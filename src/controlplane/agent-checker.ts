/** Asks the agent on each server's host how loaded the server is. */
import { connect, isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { parseAddress } from '../domain/address.ts';
import { type AgentState, afterReport, isAgentDown, parseAgentReport, SILENT_AGENT } from '../domain/agent-report.ts';
import { changedGroups } from '../domain/changed-groups.ts';
import { type Address, type AgentCheck, EMPTY_SNAPSHOT, type Snapshot, serverKey, type TargetGroup } from '../domain/model.ts';
import type { Subscriber } from './authority.ts';
import { DueQueue } from './due-queue.ts';
import type { HealthLog } from './health-checker.ts';

/** Asks once, for the first line of the answer. Rejects with an Error whose message says what went wrong, soon after `signal` at the latest. */
export type AskAgent = (address: Address, signal: AbortSignal) => Promise<string>;

/** What the checker needs around it. Time and randomness are the real ones unless given. */
export interface AgentCheckerParts {
  readonly authority: { readonly snapshot: Snapshot; subscribe(subscriber: Subscriber): () => void };
  /** Tells the workers. Called when what an agent says has changed, and with silence when it is not asked any more. */
  readonly publish: (group: string, server: string, state: AgentState) => void;
  readonly log: HealthLog;
  readonly ask?: AskAgent;
  /** The addresses of a host name, most wanted first. */
  readonly addressesOf: (host: string) => Promise<readonly string[]>;
  /** Milliseconds since 1970. */
  readonly nowMs?: () => number;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

/** What an agent said last, for listings. */
export interface AgentAnswer {
  /** The line as it came, printable and short; or what went wrong. */
  readonly said: string;
  /** It could be asked and meant something. */
  readonly ok: boolean;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** What all of its answers come to. */
  readonly state: AgentState;
}

/** As much of an answer as is read in search of its first line. */
const LONGEST_ANSWER = 4096;
const LONGEST_SHOWN = 100;
/** Further agents wait their turn. */
const MOST_AT_ONCE = 128;
/** An agent is asked early or late by up to this part of its interval. */
const JITTER = 0.1;

interface Watched {
  readonly group: string;
  readonly server: string;
  readonly address: Address;
  readonly check: AgentCheck;
  state: AgentState;
  answer: AgentAnswer | undefined;
  timer: NodeJS.Timeout | undefined;
  running: AbortController | undefined;
}

/** Asks each server's agent at its group's interval, as HAProxy's agent-check does; one that cannot be asked changes nothing. */
export class AgentChecker {
  readonly #parts: AgentCheckerParts;
  readonly #ask: AskAgent;
  readonly #nowMs: () => number;
  readonly #random: () => number;
  readonly #watched = new Map<string, Watched>();
  readonly #due = new DueQueue<Watched>(MOST_AT_ONCE, (watched) => this.#askOnce(watched));
  #unsubscribe: () => void = () => undefined;

  constructor(parts: AgentCheckerParts) {
    this.#parts = parts;
    this.#ask = parts.ask ?? askOverTcp;
    this.#nowMs = parts.nowMs ?? Date.now;
    this.#random = parts.random ?? Math.random;
  }

  /** Asks every agent at once, and follows changes of state from then on. */
  start(): void {
    this.#unsubscribe = this.#parts.authority.subscribe(({ previous, next }) => this.#follow(previous, next));
    this.#follow(EMPTY_SNAPSHOT, this.#parts.authority.snapshot);
  }

  stop(): void {
    this.#unsubscribe();
    for (const watched of this.#watched.values()) this.#pause(watched);
    this.#watched.clear();
  }

  /** undefined: it is not asked, or has not answered yet. */
  answerOf(group: string, server: string): AgentAnswer | undefined {
    return this.#watched.get(serverKey(group, server))?.answer;
  }

  #follow(previous: Snapshot, next: Snapshot): void {
    const changed = changedGroups(previous, next);
    for (const { before, after } of changed) if (before !== undefined) this.#forgetMissing(before, after);
    for (const { after } of changed) if (after !== undefined) this.#watchAll(after);
    this.#due.run();
  }

  #forgetMissing(before: TargetGroup, after: TargetGroup | undefined): void {
    const staying = new Set(after?.agentCheck === undefined ? [] : after.servers.map(({ address }) => address));
    for (const { address } of before.servers) {
      const key = serverKey(before.name, address);
      const watched = this.#watched.get(key);
      if (watched === undefined || staying.has(address)) continue;
      this.#pause(watched);
      this.#watched.delete(key);
      // What nobody says any more does not hold any more.
      this.#parts.publish(before.name, address, SILENT_AGENT);
    }
  }

  #watchAll({ name, servers, agentCheck }: TargetGroup): void {
    if (agentCheck === undefined) return;
    for (const { address } of servers) {
      const key = serverKey(name, address);
      const known = this.#watched.get(key);
      if (known !== undefined && isDeepStrictEqual(known.check, agentCheck)) continue;
      if (known !== undefined) this.#pause(known);
      const watched = watch(name, address, agentCheck, known);
      this.#watched.set(key, watched);
      this.#due.add(watched);
    }
  }

  #pause(watched: Watched): void {
    clearTimeout(watched.timer);
    this.#due.delete(watched);
    watched.running?.abort();
    watched.running = undefined;
  }

  async #askOnce(watched: Watched): Promise<void> {
    const running = new AbortController();
    watched.running = running;
    const timer = setTimeout(() => running.abort(), watched.check.timeoutMs).unref();
    const said = await this.#askHost(watched.address, running.signal).then(
      (line) => ({ line }),
      (error: unknown) => ({ problem: error instanceof Error ? error.message : String(error) }),
    );
    clearTimeout(timer);
    if (watched.running === running) {
      watched.running = undefined;
      this.#note(watched, said);
      this.#schedule(watched);
    }
  }

  /** An agent that one address of its host does not reach is asked at the next, in the time that is left. */
  async #askHost({ host, port }: Address, signal: AbortSignal): Promise<string> {
    const addresses = isIP(host) === 0 ? await this.#parts.addressesOf(host) : [host];
    let problem: unknown = new Error(`no address of ${host} is known`);
    for (const address of addresses) {
      try {
        return await this.#ask({ host: address, port }, signal);
      } catch (error) {
        problem = error;
        if (signal.aborted) break;
      }
    }
    throw problem;
  }

  #note(watched: Watched, said: { readonly line: string } | { readonly problem: string }): void {
    const { group, server, state: before } = watched;
    const report = 'problem' in said ? said : parseAgentReport(said.line);
    if (!('problem' in report)) watched.state = afterReport(before, report);
    const { state } = watched;
    const ok = !('problem' in report);
    const text = 'line' in said && said.line.trim() !== '' ? said.line : 'problem' in report ? report.problem : '';
    watched.answer = {
      said: text
        .trim()
        .replace(/[^\x20-\x7e]/g, '?')
        .slice(0, LONGEST_SHOWN),
      ok,
      atMs: this.#nowMs(),
      state,
    };
    if (isDeepStrictEqual(state, before)) return;
    this.#parts.publish(group, server, state);
    const level = isAgentDown(state.standing) && !isAgentDown(before.standing) ? 'warn' : 'info';
    this.#parts.log[level]({ group, server, said: watched.answer.said, ...state }, "an upstream server's agent says something else");
  }

  #schedule(watched: Watched): void {
    const delayMs = watched.check.intervalMs * (1 - JITTER + 2 * JITTER * this.#random());
    watched.timer = setTimeout(() => {
      this.#due.add(watched);
      this.#due.run();
    }, delayMs).unref();
  }
}

/** @throws Error for an address that no state may hold. */
function watch(group: string, server: string, check: AgentCheck, known: Watched | undefined): Watched {
  const address = parseAddress(server);
  if ('problem' in address) throw new Error(`the state holds a malformed address: ${address.problem}`);
  const { state = SILENT_AGENT, answer = undefined } = known ?? {};
  return { group, server, address: { host: address.host, port: check.port }, check, state, answer, timer: undefined, running: undefined };
}

/** Connects and reads a line, until the agent closes or has said enough. */
const askOverTcp: AskAgent = (address, signal) =>
  new Promise((resolve, reject) => {
    const socket = connect(address);
    let answer = '';
    const settle = (settled: () => void) => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      settled();
    };
    const onAbort = () => settle(() => reject(new Error('no answer in time')));
    const onLine = () => settle(() => resolve(answer.split(/[\r\n]/, 1)[0] ?? ''));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
      if (/[\r\n]/.test(answer) || answer.length >= LONGEST_ANSWER) onLine();
    });
    socket.once('end', onLine);
    socket.on('error', (error: Error & { code?: string }) =>
      settle(() => reject(new Error(`agent not reached: ${error.code ?? error.message}`))),
    );
  });
