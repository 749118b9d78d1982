/**
 * The figures of the documentation: docs/performance.json is the report that they are from. `npm run bench -- --output docs` measures and
 * writes all of them; `node bench/figures.ts` makes tables and plots anew from the report that is there.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { markdownTable } from '../scripts/markdown.ts';
import { writePlots } from './plots/write.ts';
import { REFUSED, type Refused } from './refusals.ts';
import type { Report } from './report.ts';
import { asMarkdown } from './section.ts';
import { number, sectionsOf } from './sections.ts';
import type { Spread } from './spread.ts';
import { boundByLoad } from './table.ts';
import { WORKS, type Work } from './works.ts';

const ROOT = path.join(import.meta.dirname, '..');
const BIOME = path.join(ROOT, 'node_modules/.bin/biome');

/** Where the report is kept, and the plots. */
export const REPORT_FILE = path.join(ROOT, 'docs/performance.json');
export const IMAGES = path.join(ROOT, 'docs/images');
/** The pages with figures of it, from the root of the repository. */
export const FIGURE_PAGES = ['README.md', 'docs/performance.md'] as const;

const WORK_IN_SHORT: Readonly<Record<Work, string>> = {
  connections: 'an mTLS connection with one round trip',
  roundTrips: '1,000 round trips of 100 bytes, 16 connections',
  download: '1 GB from server to client',
  upload: '1 GB from client to server',
};
const REFUSED_IN_SHORT: Readonly<Record<Refused, string>> = {
  strangers: 'refusing a certificate of the CA that is no client’s',
  addresses: 'refusing an address that comes too often, before the handshake',
  noise: 'refusing what is not TLS',
};

const MARKED = /(?<begin><!-- from the benchmark: (?<name>[^\n]+?) -->\n)[\s\S]*?(?<end><!-- end -->)/g;

/** The page with each `<!-- from the benchmark: NAME -->` part made anew. @throws Error for a part that the report does not have */
export function fillInFigures(page: string, report: Report): string {
  const parts = new Map([
    ['in short', inShort(report)],
    ['the run', theRun(report)],
    ...sectionsOf(report).map((section) => [section.id, asMarkdown(section)] as const),
  ]);
  return page.replace(MARKED, (_, begin: string, name: string, end: string) => {
    const part = parts.get(name);
    if (part === undefined)
      throw new Error(`a page wants "${name}", which the report does not have; it has ${[...parts.keys()].join(', ')}`);
    return `${begin}${part}\n${end}`;
  });
}

/** A report of some parts, over one that was kept before: what was not measured stays. */
export function keptWith(kept: Report, fresh: Report): Report {
  const either = <T>(now: readonly T[], before: readonly T[]) => (now.length > 0 ? now : before);
  const works = fresh.rounds.completed > 0 ? fresh : kept;
  return {
    ...fresh,
    machine: works.machine,
    versions: { ...kept.versions, ...fresh.versions },
    notFound: works.notFound,
    ratiosToHaproxy: works.ratiosToHaproxy,
    ratioWithoutResumption: works.ratioWithoutResumption,
    rounds: works.rounds,
    peers: works.peers,
    direct: works.direct,
    settings: { ...kept.settings, ...measured(fresh.settings) },
    handshakes: either(fresh.handshakes, kept.handshakes),
    refusals: either(fresh.refusals, kept.refusals),
    scale: either(fresh.scale, kept.scale),
    steps: either(fresh.steps, kept.steps),
    // Those of works that are measured anew are said again if they still hold.
    warnings: [...new Set([...(works === kept ? kept.warnings : []), ...fresh.warnings])],
  };
}

/** Keeps the report, and writes plots and pages. */
export async function writeFigures(report: Report): Promise<void> {
  writeFileSync(REPORT_FILE, JSON.stringify(report, null, 2));
  // The repository has one form of JSON.
  execFileSync(BIOME, ['format', '--write', REPORT_FILE], { stdio: 'ignore' });
  await writePlots(report, IMAGES);
  for (const page of FIGURE_PAGES) {
    const file = path.join(ROOT, page);
    writeFileSync(file, fillInFigures(readFileSync(file, 'utf8'), report));
  }
}

/** The report that the documentation shows; undefined: there is none yet. */
export function keptReport(): Report | undefined {
  try {
    // writeFigures alone writes it.
    return JSON.parse(readFileSync(REPORT_FILE, 'utf8')) as Report;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function measured<T extends object>(settings: T): Partial<T> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== 0 && value !== false)) as Partial<T>;
}

function inShort(report: Report): string {
  const { peers, refusals, versions, rounds } = report;
  const names = Object.keys(peers);
  const row = (work: string, ratio: Spread | null | undefined, cell: (name: string) => string) => [
    work,
    ...names.map(cell),
    ratioCell(ratio),
  ];
  const workRow = (work: Work) =>
    row(
      WORK_IN_SHORT[work],
      peers['lbd']?.works[work].ratioToHaproxy,
      (name) => `${number(peers[name]?.works[work].cpuMsPerUnit.median ?? 0)} ms`,
    );
  const [connections, ...otherWorks] = WORKS.map(workRow);
  const rows = [
    ...(connections === undefined ? [] : [connections]),
    row('the same where nobody resumes sessions', peers['lbd']?.connectionsWithoutResumption?.ratioToHaproxy, (name) => {
      const each = peers[name]?.connectionsWithoutResumption ?? null;
      return each === null ? 'not measured' : `${number(each.cpuMsPerUnit.median)} ms`;
    }),
    ...otherWorks,
    row(
      'held for an idle connection',
      peers['lbd']?.idleMemory.ratioToHaproxy,
      (name) => `${Math.round(peers[name]?.idleMemory.kb.median ?? 0)} KB`,
    ),
    ...(Object.keys(REFUSED) as Refused[]).map((refused) => {
      const of = (name: string) => refusals.find((each) => each.peer === name && each.refused === refused);
      const cell = (name: string) => {
        const ms = of(name)?.cpuMsPerConnection.median;
        return ms === undefined ? 'not measured' : ms < 1 ? `${Math.round(ms * 1_000)} µs` : `${number(ms)} ms`;
      };
      return row(REFUSED_IN_SHORT[refused], of('lbd')?.ratioToHaproxy, cell);
    }),
  ];
  const table = markdownTable(['what it costs', ...names.map((name) => titleOf(name, versions[name] ?? '')), 'lbd to HAProxy'], rows);
  return `${machineOf(report)}; TLS 1.3, P-256, full handshakes; the median of ${rounds.completed} rounds, and least to most of the ratio:\n\n${table}`;
}

function theRun(report: Report): string {
  const { versions, notFound, settings, rounds } = report;
  const bound = boundByLoad(report);
  return [
    `- ${machineOf(report)}; ${report.machine.memoryGb} GB of memory, load average ${report.machine.loadAverage} at the start.`,
    ...Object.entries(versions).map(([name, version]) => `- ${name}: ${version}.`),
    ...(notFound.length === 0 ? [] : [`- Not on that machine, and so not measured: ${notFound.join(', ')}.`]),
    `- ${rounds.completed} rounds (${rounds.memory} of memory) of ${settings.connections.toLocaleString('en')} connections, ${settings.roundTrips.toLocaleString('en')} round trips, ${settings.megabytes} MB each way, ${settings.idle.toLocaleString('en')} idle connections.`,
    bound.length === 0
      ? '- Nowhere were load generator and servers at their limit while the balancer was not.'
      : `- Rates bound by load generator and servers (they are at least that): ${bound.join(', ')}.`,
    ...report.warnings.map((warning) => `- Warning: ${warning}.`),
  ].join('\n');
}

function machineOf({ machine }: Report): string {
  const pinned = machine.pinned === null ? '' : ': the balancers on one, load and servers on the rest';
  return `${machine.cpu}, ${machine.processors} processors${pinned}; Linux ${machine.kernel}`;
}

function titleOf(name: string, version: string): string {
  // Not that of a library, which stands behind it.
  const number = /^\d+\.\d+/.exec(version)?.[0] ?? '';
  switch (name) {
    case 'haproxy':
      return `HAProxy ${number}`;
    case 'envoy':
      return `Envoy ${number}`;
    case 'node-pipe':
      return 'a plain TLS pipe in Node.js';
    case 'lbd':
      return name;
    default:
      return `${name} ${number}`.trim();
  }
}

function ratioCell(ratio: Spread | null | undefined): string {
  return ratio ? `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})` : '';
}

if (import.meta.main) {
  const report = keptReport();
  if (report === undefined) throw new Error('no report is kept: npm run bench -- --output docs makes one');
  await writeFigures(report);
}
