/** lbd: the command line, the log, the signals. The only file of the daemon that reads the environment or exits. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { pino } from 'pino';
import { checkConfigFile } from './config/check.ts';
import type { Config } from './config/config.ts';
import { configJsonSchema } from './config/json-schema.ts';
import { ConfigError, formatProblem } from './config/problems.ts';
import { Daemon, type DaemonOptions } from './daemon.ts';
import { LogOutput } from './log-output.ts';
import { packageFolder } from './package-folder.ts';
import { tellParentOfListening, whenParentIsKilled } from './parent-watch.ts';
import { QUICKSTART_PORTS, type QuickstartPorts, runQuickstart } from './quickstart/quickstart.ts';
import { type Service, startService } from './service.ts';
import { ServiceManager } from './service-manager.ts';
import { logOptions } from './shared/log.ts';
import { explainStartError } from './start-errors.ts';

/** Where a parent passes signals on, one that is meant for the whole process group arrives twice within this time. */
const ONE_SIGNAL_MS = 300;
const NPM_RUNS_IT = ['start', 'lbd'].includes(process.env['npm_lifecycle_event'] ?? '');
const PARENT_PASSES_SIGNALS = process.connected || NPM_RUNS_IT;
/** Of this package: in its scripts npm is the parent itself, in those of another package it may be a shell that is meant to end. */
const NPM_IS_PARENT = NPM_RUNS_IT && process.env['npm_package_name'] === 'portcullis';
/** What the connections that a second signal resets get to say so in the log. */
const HURRY_WITHIN_MS = 2_000;
/** How long the end waits for a slow reader of the log. */
const FLUSH_WITHIN_MS = 2_000;
const EXIT = { done: 0, failed: 1, usage: 2 } as const;

const version = packageVersion();
const out = new LogOutput(process.stdout);
process.stderr.on('error', () => undefined);

interface StartFlags {
  readonly config: string;
  readonly insecureKeyPermissions?: true;
  readonly takeover?: string;
}

const program = new Command('lbd')
  .description('Portcullis: a Layer-4 load balancer with mutual TLS, authorisation and rate limits for each client')
  .version(version)
  .exitOverride()
  .configureOutput({
    outputError: (text, write) =>
      write(
        `lbd: ${text
          .replace(/^error: /, '')
          .trim()
          .replaceAll('\n', ' ')}; see lbd --help\n`,
      ),
  })
  .configureHelp({ showGlobalOptions: true });

program
  .command('start')
  .description('run the balancer until SIGTERM or SIGINT; SIGHUP reloads certificates, CA and CRL')
  .requiredOption('-c, --config <file>', 'the configuration (YAML)')
  .option('--insecure-key-permissions', 'take private keys that every user of the machine may read')
  .option('--takeover <socket>', 'take over from the lbd that waits at this Unix socket, if any, and wait there for the next')
  .action(async ({ config, insecureKeyPermissions, takeover }: StartFlags) => {
    const allowInsecureKeyPermissions = insecureKeyPermissions ?? false;
    await runUntilSignalled(async () => {
      // Every problem at its place, as `lbd check` says them; the start would stop at the first.
      const checked = checkConfigFile(config, { allowInsecureKeyPermissions });
      if ('problems' in checked) throw new ConfigError(checked.problems);
      const options = daemonOptions(checked.config, allowInsecureKeyPermissions);
      const manager = new ServiceManager({ environment: process.env, warn: (message) => options.log.warn(message) });
      return startService(checked.config, { ...options, manager, takeover, retire: () => process.kill(process.pid, 'SIGTERM') });
    });
  });

program
  .command('check')
  .description('say whether a configuration and its TLS files can be served: every problem, each at its place')
  .requiredOption('-c, --config <file>', 'the configuration (YAML)')
  .option('--insecure-key-permissions', 'take private keys that every user of the machine may read')
  .action(({ config, insecureKeyPermissions }: StartFlags) => {
    const checked = checkConfigFile(config, { allowInsecureKeyPermissions: insecureKeyPermissions ?? false });
    if ('problems' in checked) {
      for (const problem of checked.problems) process.stderr.write(`${formatProblem(problem)}\n`);
      process.exitCode = EXIT.failed;
      return;
    }
    for (const warning of checked.warnings) process.stderr.write(`warning: ${warning}\n`);
    process.stdout.write(`${config}: ok\n`);
  });

program
  .command('schema')
  .description('print the JSON Schema of the configuration')
  .action(() => {
    process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  });

program
  .command('quickstart')
  .description('run a complete example: development certificates, two sample upstream servers, the balancer, and commands to try')
  .option('--port <number>', 'where clients connect', portNumber, QUICKSTART_PORTS.port)
  .option('--admin-port <number>', 'where the admin API listens', portNumber, QUICKSTART_PORTS.adminPort)
  .option(
    '--sample-port <number>',
    'the first of the two sample servers; the other takes the next port',
    portNumber,
    QUICKSTART_PORTS.samplePort,
  )
  .action(async (ports: QuickstartPorts) => {
    await runUntilSignalled(async () => {
      let daemon: Daemon | undefined;
      const quickstart = await runQuickstart({
        ports,
        cwd: process.cwd(),
        print: (line) => void process.stdout.write(`${line}\n`),
        start: async (config) => {
          daemon = await Daemon.start(config, daemonOptions(config, false));
          return daemon;
        },
      });
      return { reload: async () => daemon?.reload(), stop: () => quickstart.stop(), hurry: () => daemon?.hurry() };
    });
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) await exit(error.exitCode === 0 ? EXIT.done : EXIT.usage);
  process.stderr.write(`${explainStartError(error)}\n`);
  await exit(EXIT.failed);
}

function daemonOptions(config: Config, allowInsecureKeyPermissions: boolean): DaemonOptions {
  return {
    log: pino(logOptions(config.logLevel), out),
    writeLogLines: (lines) => out.write(lines.join('')),
    allowInsecureKeyPermissions,
    version,
  };
}

/** Resolves when it has started; signals count from before that. @throws what `start` throws */
async function runUntilSignalled(start: () => Promise<Service>): Promise<void> {
  let running: Service | undefined;
  let stoppingSinceMs: number | undefined;
  const stop = async (signal: NodeJS.Signals) => {
    if (stoppingSinceMs !== undefined) {
      const mayBeTheSame = PARENT_PASSES_SIGNALS || signal === 'SIGINT';
      if (mayBeTheSame && performance.now() - stoppingSinceMs < ONE_SIGNAL_MS) return;
      if (running === undefined) return exit(EXIT.done);
      running.hurry();
      setTimeout(() => void exit(EXIT.done), HURRY_WITHIN_MS);
      return;
    }
    stoppingSinceMs = performance.now();
    if (running !== undefined) {
      process.stderr.write(`lbd: ${signal}: no new connections; waiting for the present ones to end (a second signal ends them)\n`);
      await running.stop();
    }
    await exit(EXIT.done);
  };
  process.on('SIGTERM', (signal) => void stop(signal));
  process.on('SIGINT', (signal) => void stop(signal));
  let reloadWanted = false;
  process.on('SIGHUP', () => {
    if (running === undefined) reloadWanted = true;
    else void running.reload();
  });
  tellParentOfListening();
  whenParentIsKilled(NPM_IS_PARENT, () => {
    process.stderr.write('lbd: what started it was killed; it ends too\n');
    process.exit(EXIT.failed);
  });
  running = await start();
  // What was read during the start may have been replaced since.
  if (reloadWanted) await running.reload();
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError('expected a port, 0 to 65535');
  return port;
}

async function exit(code: number): Promise<never> {
  await out.flush(FLUSH_WITHIN_MS);
  process.exit(code);
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('package.json', packageFolder()), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown';
}
