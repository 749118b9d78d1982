/** `npm run bench`: lbd beside what one would use instead, on this machine. */
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { FULL, onlyParts, PARTS, type Part, QUICK, SMALLEST } from './amounts.ts';
import { runBenchmark } from './benchmark.ts';
import { keptReport, keptWith, writeFigures } from './figures.ts';
import { PEER_NAMES } from './peers/all.ts';
import { makeFolder, writePlots } from './plots/write.ts';
import type { Report } from './report.ts';
import { table } from './table.ts';

interface Flags {
  readonly quick?: true;
  readonly smallest?: true;
  readonly peers?: readonly string[];
  readonly parts?: readonly Part[];
  readonly rounds?: number;
  readonly output: readonly string[];
}

const program = new Command('bench')
  .description('measure lbd, and the balancers found on this machine, over loopback: CPU time, memory, throughput, latency')
  .option('--quick', 'under 50 seconds: TLS 1.3, P-256 and full handshakes only, and no scale')
  .addOption(new Option('--smallest', 'as little as possible: says that the benchmark works, and nothing else').conflicts('quick'))
  .option('--peers <names>', `only these: ${PEER_NAMES.join(', ')}`, peerNames)
  .option('--rounds <count>', 'so many rounds over all balancers', roundCount)
  .option('--parts <names>', `only these: ${PARTS.join(', ')}`, partNames)
  .option(
    '--output <form...>',
    'table; json: one object on standard output; svg DIR: the table, and plots in the folder; docs: the figures of the documentation',
    ['table'],
  )
  .action(async ({ quick, smallest, peers, parts = PARTS, rounds, output }: Flags) => {
    const [form, folder] = output;
    const known =
      form === 'svg'
        ? folder !== undefined && output.length === 2
        : output.length === 1 && (form === 'table' || form === 'json' || form === 'docs');
    if (!known) program.error('error: --output is table, json, svg DIR, or docs');
    const left = parts === PARTS ? undefined : parts.find((part) => part !== 'rounds');
    if (quick && left !== undefined) program.error(`error: --quick measures rounds only, and not ${left}`);
    const less = smallest ? '--smallest' : quick ? '--quick' : peers === undefined ? undefined : '--peers';
    if (form === 'docs' && less !== undefined) program.error(`error: the documentation shows all balancers in full: leave ${less} out`);
    // Rather than when all is measured.
    if (folder !== undefined) await makeFolder(path.resolve(folder));
    const most = smallest ? SMALLEST : quick ? QUICK : FULL;
    const amounts = onlyParts({ ...most, rounds: rounds ?? most.rounds }, parts);
    const say = (line: string) => void process.stderr.write(`${line}\n`);
    const report = await runBenchmark({ amounts, peers, say, signal: interrupted() });
    if (form === 'docs') await writeFigures(withKept(report));
    if (folder !== undefined) for (const file of await writePlots(report, folder)) say(file);
    await print(`${form === 'json' ? JSON.stringify(report, null, 2) : table(report)}\n`);
  });

/** @throws Error when nobody takes it: a disk that is full, a reader that has ended */
function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.once('error', reject);
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function peerNames(text: string): readonly string[] {
  const names = text.split(',');
  const unknown = names.find((name) => !PEER_NAMES.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`there is no peer ${unknown}`);
  return names;
}

function roundCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 100) throw new InvalidArgumentError('1 to 100 rounds');
  return count;
}

function partNames(text: string): readonly Part[] {
  return text.split(',').map((name) => {
    const part = PARTS.find((each) => each === name);
    if (part === undefined) throw new InvalidArgumentError(`there is no part ${name}`);
    return part;
  });
}

/** Together with what the documentation shows of parts that were not measured now. */
function withKept(report: Report): Report {
  const kept = keptReport();
  return kept === undefined ? report : keptWith(kept, report);
}

/** Aborts when the benchmark is told to end; told twice, it ends at once. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => controller.abort(new Error(`ended by ${name}`)));
  return controller.signal;
}

try {
  await program.parseAsync();
  process.exit(0);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
}
