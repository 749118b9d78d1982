/** The commands of lbctl as a commander tree, and one run of it. */
import { Command, CommanderError } from 'commander';
import { addAuditCommand } from './commands/audit.ts';
import { addCallCommand } from './commands/call.ts';
import { addCertificateCommands } from './commands/certificates.ts';
import { addClientCommands } from './commands/clients.ts';
import { addCompletionCommands } from './commands/completion.ts';
import { addConfigurationCommands } from './commands/configurations.ts';
import { addConnectionCommands } from './commands/connections.ts';
import { addContextCommands } from './commands/contexts.ts';
import { addCounterCommands } from './commands/counters.ts';
import { addExplainCommand } from './commands/explain.ts';
import { addServerModeCommands } from './commands/server-modes.ts';
import { addStateCommands } from './commands/state.ts';
import { addTargetGroupCommands } from './commands/target-groups.ts';
import { addTopCommand } from './commands/top.ts';
import { addUpstreamServerCommands } from './commands/upstream-servers.ts';
import { addWatchCommands } from './commands/watches.ts';
import { CliError, EXIT, type ExitCode, errorText, usageError } from './errors.ts';
import type { Io } from './io.ts';
import { findPackage } from './package-folder.ts';
import { safeText } from './render.ts';
import { refuseRepeatedOptions } from './repeated-options.ts';
import { addGlobalOptions } from './settings.ts';

/** Runs one command line (without the program's own name); whatever goes wrong is one line on stderr. */
export async function runProgram(args: readonly string[], io: Io): Promise<ExitCode> {
  try {
    await createProgram(io).parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    const failure = error instanceof CliError ? error : new CliError(EXIT.refused, `unexpected: ${errorText(error)}`);
    io.stderr.write(`lbctl: ${safeText(failure.message)}\n`);
    return failure.exitCode;
  }
}

/** The commander tree. Its parse throws a CliError, or a CommanderError with exit code 0 after help and version. */
export function createProgram(io: Io): Command {
  const program = new Command('lbctl')
    .description('Shows and changes a running Portcullis load balancer over its admin API.')
    .version(findPackage().version)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: () => {} })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 refused by the server (drift: it differs; drain-upstream-server\nand remove-upstream-server: connections are left), 2 bad usage, 3 unreachable.',
    );
  addGlobalOptions(program);
  addStateCommands(program, io);
  addTargetGroupCommands(program, io);
  addUpstreamServerCommands(program, io);
  addServerModeCommands(program, io);
  addClientCommands(program, io);
  addCertificateCommands(program, io);
  addCounterCommands(program, io);
  addConnectionCommands(program, io);
  addWatchCommands(program, io);
  addTopCommand(program, io);
  addExplainCommand(program, io);
  addConfigurationCommands(program, io);
  addAuditCommand(program, io);
  addContextCommands(program, io);
  addCompletionCommands(program, io);
  addCallCommand(program, io);
  refuseRepeatedOptions(program);
  reportUsage(program, 'lbctl');
  return program;
}

/** Turns what commander finds wrong into a CliError that names the help to read. */
function reportUsage(command: Command, commandLine: string): void {
  command.exitOverride((error) => {
    if (error.exitCode === 0) throw error;
    const what =
      error.code === 'commander.help'
        ? 'no command given'
        : error.message
            .replace(/^error: /, '')
            .replace(/\s*\n\s*/g, ' ')
            .replace(/\.$/, '');
    throw usageError(`${what}; see ${commandLine} --help`);
  });
  for (const subcommand of command.commands) reportUsage(subcommand, `${commandLine} ${subcommand.name()}`);
}
