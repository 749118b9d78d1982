/** Configurations and revisions: what a file would change, making it so, going back, and what is running as a file. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { AdminServiceService, type PlanConfigResponse, type Revision } from '../../src/gen/lb/admin/v1/admin.ts';
import { blastRadiusText, differencesText, goingOn, restartText } from '../differences.ts';
import { CliError, EXIT, fileProblem, usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { type Paint, safeLines, safeText, table } from '../render.ts';
import { count, name, revision } from '../values.ts';
import { type CloseOptions, closedText, closeFields, closeOptions } from './closing.ts';
import { type ChangeOptions, changeFields, changeOptions, example, warn, withSession } from './session.ts';

interface FileOptions {
  readonly file: string;
}

interface RollbackOptions extends ChangeOptions, CloseOptions {
  readonly to: bigint;
}

export function addConfigurationCommands(program: Command, io: Io): void {
  program.commandsGroup('Configurations and revisions:');
  planCommand(program, io);
  applyCommand(program, io);
  driftCommand(program, io);
  exportCommand(program, io);
  historyCommand(program, io);
  rollbackCommand(program, io);
}

function planCommand(program: Command, io: Io): void {
  const command = fileOption(program.command('plan').description('what a configuration file would change, and whom that would touch'));
  command.action(async ({ file }: FileOptions) => {
    const config = await readConfig(io, file);
    await withSession(io, command, async ({ connection, printer }) => {
      const plan = await inFile(file, connection.unary(AdminServiceService.planConfig, { config }));
      warn(io, plan.warnings);
      printer.block(plan, planText(plan, printer.paint));
    });
  });
  example(command, 'plan -f config.yaml', 'plan -f - --output json');
}

function applyCommand(program: Command, io: Io): void {
  const command = fileOption(
    program.command('apply').description('make groups and clients those of a configuration file, as one change or not at all'),
  );
  changeOptions(closeOptions(command)).action(async (options: FileOptions & ChangeOptions & CloseOptions) => {
    const config = await readConfig(io, options.file);
    const request = { config, ...closeFields(options), ...changeFields(options) };
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await inFile(options.file, connection.unary(AdminServiceService.applyConfig, request));
      warn(io, reply.warnings);
      const done = reply.alreadyApplied
        ? alreadyDone('applied', reply.revision)
        : reply.differences.length === 0
          ? `nothing to change (revision ${reply.revision})`
          : `applied ${changes(reply.differences.length)}, ${closedText(reply, options)}${goingOn(reply.connectionsDraining)} (revision ${reply.revision})`;
      printer.block(reply, paragraphs(differencesText(reply.differences, printer.paint), restartText(reply.needsRestart), done));
    });
  });
  example(command, 'apply -f config.yaml', 'apply -f config.yaml --expected-revision 12 --mode drain --deadline 1m');
}

function driftCommand(program: Command, io: Io): void {
  const command = fileOption(
    program
      .command('drift')
      .description('where the running state differs from a configuration file: exit code 0 and "no drift", or 1 and the differences'),
  );
  command.action(async ({ file }: FileOptions) => {
    const config = await readConfig(io, file);
    await withSession(io, command, async ({ connection, printer }) => {
      const plan = await inFile(file, connection.unary(AdminServiceService.planConfig, { config }));
      warn(io, plan.warnings);
      const { differences, needsRestart } = plan;
      const same = differences.length === 0 && needsRestart.length === 0;
      const text = paragraphs(differencesText(differences, printer.paint), restartText(needsRestart));
      printer.block(plan, same ? `no drift (revision ${plan.revision})` : text);
      if (same) return;
      const todo =
        differences.length === 0 ? 'start lbd again with it' : `lbctl apply -f ${file} makes the running state what the file says`;
      throw new CliError(EXIT.refused, `the running state is not what ${file} says; ${todo}`);
    });
  });
  example(command, 'drift -f config.yaml');
}

function exportCommand(program: Command, io: Io): void {
  const command = program.command('export').description('what is running as a configuration file, on standard output');
  command.action(async () => {
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.exportConfig, {});
      printer.block(reply, safeLines(reply.config.trimEnd()));
    });
  });
  example(command, 'export > config.yaml');
}

function historyCommand(program: Command, io: Io): void {
  const command = program
    .command('history')
    .description('the changes that are still kept, newest first; rollback takes any of their revisions')
    .option('--limit <n>', 'at most so many (default: all)', count(1));
  command.action(async ({ limit = Number.POSITIVE_INFINITY }: { readonly limit?: number }) => {
    await withSession(io, command, async ({ connection, printer }) => {
      const revisions: Revision[] = [];
      for await (const page of pages(connection, AdminServiceService.listRevisions, {})) {
        revisions.push(...page.revisions);
        if (revisions.length >= limit) break;
      }
      const shown = revisions.slice(0, limit);
      printer.block({ revisions: shown }, revisionTable(shown, printer.paint));
    });
  });
  example(command, 'history', 'history --limit 5');
}

function rollbackCommand(program: Command, io: Io): void {
  const command = program
    .command('rollback')
    .description('make groups and clients what they were at a kept revision, as a new change; revoked certificates stay revoked')
    .requiredOption('--to <revision>', 'the revision, of lbctl history', revision);
  changeOptions(closeOptions(command)).action(async (options: RollbackOptions) => {
    const request = { toRevision: options.to, ...closeFields(options), ...changeFields(options) };
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.rollbackConfig, request);
      warn(io, reply.warnings);
      const closed = `${closedText(reply, options)}${goingOn(reply.connectionsDraining)}`;
      const done = reply.alreadyApplied
        ? alreadyDone('gone back', reply.revision)
        : reply.differences.length === 0
          ? `nothing to change: it is as it was at ${options.to} (revision ${reply.revision})`
          : `back to what it was at ${options.to}: ${changes(reply.differences.length)}, ${closed} (revision ${reply.revision})`;
      printer.block(reply, paragraphs(differencesText(reply.differences, printer.paint), done));
    });
  });
  example(command, 'rollback --to 12', 'rollback --to 12 --mode drain --deadline 1m');
}

function planText(plan: PlanConfigResponse, paint: Paint): string {
  const { differences, needsRestart, revision: comparedWith } = plan;
  if (differences.length === 0) return paragraphs(`nothing would change (revision ${comparedWith})`, restartText(needsRestart));
  const head = `${changes(differences.length)} to revision ${comparedWith}:`;
  return paragraphs(`${head}\n${differencesText(differences, paint)}`, blastRadiusText(plan.blastRadius), restartText(needsRestart));
}

function revisionTable(revisions: readonly Revision[], paint: Paint): string {
  if (revisions.length === 0) return 'no revisions';
  return table(
    ['REVISION', 'AT', 'BY', 'WHAT'],
    revisions.map((one) => [String(one.revision), one.at?.toISOString() ?? '', one.actor, one.summary]),
    paint,
  );
}

function fileOption(command: Command): Command {
  return command.requiredOption('-f, --file <file>', 'the configuration file, YAML; - for standard input', name);
}

async function readConfig(io: Io, file: string): Promise<string> {
  if (file === '-') return io.readStdin();
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`cannot read ${safeText(file)}: ${fileProblem(error)}; give the configuration file with -f`);
  }
}

/** The server calls the text `config` where it says what is wrong in it: here it has the name that it was given by. */
async function inFile<T>(file: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof CliError) || error.reason !== 'INVALID_CONFIG') throw error;
    const shown = file === '-' ? 'standard input' : safeText(file);
    const message = error.message.replaceAll(/(?<=^refused \(\w+\): |; )config(?=[: ])/g, () => shown);
    throw new CliError(error.exitCode, message, error.status, error.reason);
  }
}

/** A repeated request is answered with what it made the first time. */
function alreadyDone(what: string, made: bigint): string {
  return `this request was accepted before: ${what} at revision ${made}, and nothing was changed now`;
}

const changes = (amount: number) => `${amount} change${amount === 1 ? '' : 's'}`;
const paragraphs = (...parts: readonly string[]) => parts.filter((part) => part !== '').join('\n\n');
