/** `npm run bench`: lbd beside what one would use instead, on this machine. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { FULL, QUICK, SMALLEST } from './amounts.ts';
import { runBenchmark } from './benchmark.ts';
import { PEER_NAMES } from './peers/all.ts';
import { writePlots } from './plots.ts';
import { table } from './table.ts';

interface Flags {
  readonly quick?: true;
  readonly smallest?: true;
  readonly peers?: readonly string[];
  readonly output: readonly string[];
}

const program = new Command('bench')
  .description('measure lbd, and the balancers found on this machine, over loopback: CPU time, memory, throughput, latency')
  .option('--quick', 'under 50 seconds: TLS 1.3, P-256 and full handshakes only, and no scale')
  .addOption(new Option('--smallest', 'as little as possible: says that the benchmark works, and nothing else').conflicts('quick'))
  .option('--peers <names>', `only these: ${PEER_NAMES.join(', ')}`, peerNames)
  .option('--output <form...>', 'table; json: one object on standard output; svg DIR: the table, and plots in the folder', ['table'])
  .action(async ({ quick, smallest, peers, output }: Flags) => {
    const [form, folder] = output;
    const known =
      form === 'svg' ? folder !== undefined && output.length === 2 : output.length === 1 && (form === 'table' || form === 'json');
    if (!known) program.error('error: --output is table, json, or svg DIR');
    const amounts = smallest ? SMALLEST : quick ? QUICK : FULL;
    const say = (line: string) => void process.stderr.write(`${line}\n`);
    const report = await runBenchmark({ amounts, peers, say, signal: interrupted() });
    process.stdout.write(`${form === 'json' ? JSON.stringify(report, null, 2) : table(report)}\n`);
    if (folder !== undefined) for (const file of await writePlots(report, folder)) say(file);
  });

function peerNames(text: string): readonly string[] {
  const names = text.split(',');
  const unknown = names.find((name) => !PEER_NAMES.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`there is no peer ${unknown}`);
  return names;
}

/** Aborts when the benchmark is told to end. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort(new Error(`ended by ${name}`)));
  return controller.signal;
}

try {
  await program.parseAsync();
  process.exit(0);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
}
