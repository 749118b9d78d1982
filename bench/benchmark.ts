/** The whole benchmark, from certificates to the report; whatever happens, nothing of it stays behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Amounts } from './amounts.ts';
import { makeCertificates } from './certificates.ts';
import { Children, pinning } from './children.ts';
import { measureDirectly } from './generator-check.ts';
import { measureHandshakes } from './handshakes.ts';
import { Load, measureSteps, startServers } from './load.ts';
import { PEERS } from './peers/all.ts';
import { measureRefusals } from './refusals.ts';
import { machine, type Report, reportOf } from './report.ts';
import { NO_ROUNDS, runRounds } from './rounds.ts';
import { measureScale } from './scale.ts';
import type { Stage } from './stage.ts';

export interface BenchmarkOptions {
  readonly amounts: Amounts;
  /** Names of those to measure; undefined: all that are found. */
  readonly peers: readonly string[] | undefined;
  /** Told what goes on. */
  readonly say: (line: string) => void;
  /** Ends everything early. */
  readonly signal: AbortSignal;
}

/** Runs it. @throws Error when lbd or the load fails; the signal's reason when it is aborted. */
export async function runBenchmark({ amounts, peers, say, signal }: BenchmarkOptions): Promise<Report> {
  const startedMs = performance.now();
  const warnings: string[] = [];
  const warn = (message: string) => {
    warnings.push(message);
    say(`warning: ${message}`);
  };
  const children = new Children();
  const folder = await mkdtemp(path.join(tmpdir(), 'portcullis-bench-'));
  const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  aborted.catch(() => undefined);
  const measureAll = async (): Promise<Report> => {
    const asked = PEERS.filter(({ name }) => peers?.includes(name) ?? true);
    const versions = Object.fromEntries(asked.flatMap(({ name, version }) => (version() === undefined ? [] : [[name, version() ?? '']])));
    const found = asked.filter(({ name }) => name in versions);
    const pins = pinning();
    const about = machine(pins);
    say(`peers: ${found.map(({ name }) => name).join(', ')}`);
    const p256 = await makeCertificates(folder, 'P-256');
    const servers = await startServers(children, 1, pins.load);
    const stage: Stage = { children, pinning: pins, folder, load: new Load(children, pins.load), servers, warn, say };
    const direct = await measureDirectly(stage, amounts);
    if (amounts.rounds > 0) say('rounds over all peers');
    const rounds = amounts.rounds === 0 ? NO_ROUNDS : await runRounds(found, stage, p256, amounts, startedMs);
    if (amounts.handshakes > 0) say('kinds of handshakes');
    const kinds = amounts.handshakes === 0 ? [] : [p256, await makeCertificates(folder, 'RSA-2048')];
    const handshakes = await measureHandshakes(found, stage, kinds, amounts.handshakes);
    if (amounts.refusals > 0) say('refusals');
    const refusals = amounts.refusals === 0 ? [] : await measureRefusals(found, stage, p256, amounts.refusals);
    if (amounts.scale > 0) say('scale');
    const scale = amounts.scale === 0 ? [] : await measureScale(stage, p256, amounts.scale);
    if (amounts.steps) say('steps of a connection');
    const steps = amounts.steps ? await measureSteps(children, pins.balancer) : [];
    const notFound = asked.filter((peer) => !found.includes(peer)).map(({ name }) => name);
    const seconds = Math.round(performance.now() - startedMs) / 1_000;
    return reportOf({ amounts, rounds, machine: about, versions, notFound, direct, handshakes, refusals, scale, steps, warnings, seconds });
  };
  try {
    signal.throwIfAborted();
    return await Promise.race([measureAll(), aborted]);
  } finally {
    await children.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
