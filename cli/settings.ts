/** How to reach the server and how to print: each from its flag, else the environment, else the context, else a default. */
import { type Command, Option } from 'commander';
import { type Context, contextFilePath, readContextFile } from './contexts.ts';
import { usageError } from './errors.ts';
import type { Io } from './io.ts';
import { OUTPUTS, type Output } from './render.ts';
import { address, EXPECTED_ADDRESS, name, positiveDuration, splitAddress } from './values.ts';

export interface Settings {
  readonly addr: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** The name to check in the server's certificate, where that is not the host of `addr`. */
  readonly serverName: string | undefined;
  readonly timeoutMs: number;
  readonly output: Output;
}

/** What the global options of the command line say. */
export interface GlobalOptions {
  readonly addr?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly context?: string;
  readonly timeout: number;
  readonly output: Output;
}

const DEFAULT_ADDR = '127.0.0.1:9000';

export function addGlobalOptions(program: Command): void {
  program
    .option('--addr <host:port>', `the admin API (LBCTL_ADDR; default ${DEFAULT_ADDR})`, address)
    .option('--ca <file>', "the CA of the server's certificate, PEM (LBCTL_CA; default: the public CAs)", name)
    .option('--cert <file>', 'your client certificate, PEM (LBCTL_CERT)', name)
    .option('--key <file>', 'the key of your client certificate, PEM (LBCTL_KEY)', name)
    .option('--server-name <name>', "the name to check in the server's certificate, if not the host of --addr", name)
    .option('--context <name>', 'a context of ~/.config/lbctl/config.yaml (default: the current one)', name)
    .addOption(new Option('-o, --output <format>', 'how to print').choices(OUTPUTS).default('table' satisfies Output))
    .addOption(new Option('--timeout <duration>', 'how long to wait for the server').argParser(positiveDuration).default(10_000, '10s'));
}

/** Throws a CliError when the environment or the context file says something that cannot be. */
export function resolveSettings(io: Pick<Io, 'env' | 'homeFolder'>, options: GlobalOptions): Settings {
  const context = chosenContext(io, options.context);
  const fromEnv = (variable: string) => (io.env[variable] === '' ? undefined : io.env[variable]);
  const settings = {
    addr: options.addr ?? fromEnv('LBCTL_ADDR') ?? context.addr ?? DEFAULT_ADDR,
    ca: options.ca ?? fromEnv('LBCTL_CA') ?? context.ca,
    cert: options.cert ?? fromEnv('LBCTL_CERT') ?? context.cert,
    key: options.key ?? fromEnv('LBCTL_KEY') ?? context.key,
    serverName: options.serverName ?? context.serverName,
    timeoutMs: options.timeout,
    output: options.output,
  };
  if (splitAddress(settings.addr) === undefined) {
    const origin = fromEnv('LBCTL_ADDR') === undefined ? `addr of the context in ${contextFilePath(io)}` : 'LBCTL_ADDR';
    throw usageError(`${origin} is ${JSON.stringify(settings.addr)}; ${EXPECTED_ADDRESS}`);
  }
  return settings;
}

function chosenContext(io: Pick<Io, 'env' | 'homeFolder'>, asked: string | undefined): Context {
  const filePath = contextFilePath(io);
  const { currentContext, contexts } = readContextFile(filePath);
  const wanted = asked ?? currentContext;
  if (wanted === undefined) return {};
  const context = contexts.get(wanted);
  if (context !== undefined) return context;
  throw usageError(
    asked === undefined
      ? `currentContext in ${filePath} is ${wanted}, which is not there; choose one with lbctl context use NAME`
      : `there is no context ${wanted} in ${filePath}; lbctl context list shows them`,
  );
}
