import type { Command } from 'commander';
import { AdminServiceService, type Client } from '../../src/gen/lb/admin/v1/admin.ts';
import type { Connection } from '../connection.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { count, MOST_CONNECTIONS, name } from '../values.ts';
import {
  bandwidthOf,
  bandwidthOptions,
  connectionRateOf,
  describesBandwidth,
  type GroupOptions,
  groupOptions,
  groupsOf,
  type LimitOptions,
  limitsOf,
  type MatchOptions,
  matchOf,
  matchOptions,
  rateOptions,
} from './client-options.ts';
import { clientTable } from './client-table.ts';
import { type CloseOptions, closedText, closeFields, closeOptions } from './closing.ts';
import { type ChangeOptions, changeFields, changeOptions, example, warn, withSession } from './session.ts';

interface AddOptions extends LimitOptions, MatchOptions, GroupOptions, ChangeOptions {
  readonly client: string;
}

interface UpdateOptions extends Omit<LimitOptions, 'limit'>, MatchOptions, GroupOptions, ChangeOptions, CloseOptions {
  readonly client: string;
  readonly limit?: number | false;
  readonly matchAny?: true;
}

export function addClientCommands(program: Command, io: Io): void {
  program.commandsGroup('Clients:');
  addCommand(program, io);
  updateCommand(program, io);
  removeCommand(program, io);
  listCommand(program, io);
}

function addCommand(program: Command, io: Io): void {
  const command = program
    .command('add-client')
    .description('add a client: who it is, which target groups it may reach, and how fast')
    .requiredOption('--client <id>', 'its name; without --match options, the common name or a DNS or URI name of its certificate', name);
  const limits = rateOptions(groupOptions(command));
  bandwidthOptions(limits.option('--concurrent-connections <n>', 'connections at a time (default: no bound)', count(1, MOST_CONNECTIONS)));
  changeOptions(matchOptions(command)).action(async (options: AddOptions) => {
    const { client: clientId } = options;
    const allowedTargetGroups = [...groupsOf(options)];
    if (allowedTargetGroups.length === 0) throw usageError('which target group may the client reach? give --target-group');
    const client = { clientId, match: matchOf(options), allowedTargetGroups, limits: limitsOf(options) };
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.addClient, { client, ...changeFields(options) });
      warn(io, reply.warnings);
      printer.sentence(reply, `added client ${clientId} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'add-client --client clientA.bardomain.com --target-group FrontEndService --requests-per-second 10',
    'add-client --client billing --match-uri spiffe://example.org/billing --target-group DBService --limit 100 --window 1m --algorithm slidingWindowLog',
    'add-client --client batch --match-cidr 10.0.0.0/24 --target-group DBService --bandwidth-down 10MB --shadow',
  );
}

function updateCommand(program: Command, io: Io): void {
  const command = program
    .command('update-client')
    .description('change what is given of a client and leave the rest; connections that it may no longer have are closed')
    .requiredOption('--client <id>', 'the client', name);
  rateOptions(groupOptions(command))
    .option('--no-limit', 'no bound on new connections any more')
    .option('--concurrent-connections <n>', 'connections at a time; 0: no bound', count(0, MOST_CONNECTIONS));
  bandwidthOptions(command)
    .option('--no-bandwidth', 'no bound on bytes any more, in neither direction')
    .option('--no-shadow', 'its limits hold again')
    .option('--match-any', 'its id is the common name or a DNS or URI name of its certificate; what was to match before is forgotten');
  changeOptions(closeOptions(matchOptions(command))).action(async (options: UpdateOptions) => {
    const updateMask = maskOf(options);
    if (updateMask.length === 0) throw usageError(`nothing to change; see lbctl ${command.name()} --help`);
    if (options.matchAny === true && matchOf(options) !== undefined)
      throw usageError('--match-any and other --match options: give the one or the others');
    const closing = closeFields(options);
    await withSession(io, command, async ({ connection, printer }) => {
      const { client, readAt } = await wanted(connection, options);
      const change = changeFields(options);
      const expectedRevision = change.expectedRevision === 0n ? readAt : change.expectedRevision;
      const request = { client, updateMask, ...closing, ...change, expectedRevision };
      const reply = await connection.unary(AdminServiceService.updateClient, request);
      warn(io, reply.warnings);
      const closed = reply.connectionsClosed === 0n ? '' : `, ${closedText(reply, options)}`;
      const done = reply.nothingToChange ? `nothing to change in client ${options.client}` : `updated client ${options.client}`;
      printer.sentence(reply, `${done}${closed} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'update-client --client clientA.bardomain.com --limit 20 --window 1s',
    'update-client --client clientA.bardomain.com --target-group DBService --mode drain --deadline 30s',
    'update-client --client clientA.bardomain.com --no-limit --concurrent-connections 0',
    'update-client --client clientA.bardomain.com --bandwidth-up 512KiB --bandwidth-down 10MB --no-shadow',
  );
}

function maskOf(options: UpdateOptions): string[] {
  return [
    ...(matchOf(options) !== undefined || options.matchAny === true ? ['match'] : []),
    ...(groupsOf(options).length > 0 ? ['allowed_target_groups'] : []),
    ...(options.limit === false || describesRate(options) ? ['limits.connection_rate'] : []),
    ...(options.concurrentConnections === undefined ? [] : ['limits.concurrent_connections']),
    ...(describesBandwidth(options) ? ['limits.bandwidth'] : []),
    ...(options.shadow === undefined ? [] : ['limits.shadow']),
  ];
}

function describesRate({ requestsPerSecond, limit, window, algorithm, burst, action, maxDelay }: UpdateOptions): boolean {
  return [requestsPerSecond, limit || undefined, window, algorithm, burst, action, maxDelay].some((value) => value !== undefined);
}

/**
 * The client with what is to change, and the revision that was looked at: what is not given of a limit stays that of the client as
 * it is, and the change is then made only while that holds. 0n: nothing was looked at.
 */
async function wanted(connection: Connection, options: UpdateOptions): Promise<{ readonly client: Client; readonly readAt: bigint }> {
  const { limit, ...others } = options;
  if (limit === false && describesRate({ ...options, limit: false }))
    throw usageError('--no-limit and what describes a limit: give the one or the other');
  const rateOnly: LimitOptions = limit === undefined || limit === false ? others : { ...others, limit };
  const current = describesRate(options) || describesBandwidth(options) ? await currentClient(connection, options.client) : undefined;
  const client: Client = {
    clientId: options.client,
    match: matchOf(options),
    allowedTargetGroups: [...groupsOf(options)],
    limits: {
      connectionRate: connectionRateOf(rateOnly, current?.client?.limits?.connectionRate),
      concurrentConnections: options.concurrentConnections ?? 0,
      bandwidth: describesBandwidth(options) ? bandwidthOf(others, current?.client?.limits?.bandwidth) : undefined,
      shadow: options.shadow ?? false,
    },
  };
  return { client, readAt: current?.revision ?? 0n };
}

/** A client that is not there is for the server to refuse. */
async function currentClient(
  connection: Connection,
  clientId: string,
): Promise<{ readonly client: Client | undefined; readonly revision: bigint } | undefined> {
  for await (const { clients, revision } of pages(connection, AdminServiceService.listClients, {})) {
    const found = clients.find(({ client }) => client?.clientId === clientId);
    if (found !== undefined) return { client: found.client, revision };
  }
  return undefined;
}

function removeCommand(program: Command, io: Io): void {
  const command = program
    .command('remove-client')
    .description('remove a client; its connections are closed, those of others are not touched')
    .requiredOption('--client <id>', 'the client', name);
  changeOptions(closeOptions(command)).action(async (options: ChangeOptions & CloseOptions & { readonly client: string }) => {
    const { client: clientId } = options;
    const request = { clientId, ...closeFields(options), ...changeFields(options) };
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.removeClient, request);
      printer.sentence(reply, `removed client ${clientId}, ${closedText(reply, options)} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'remove-client --client clientA.bardomain.com',
    'remove-client --client clientA.bardomain.com --mode drain --deadline 30s',
  );
}

function listCommand(program: Command, io: Io): void {
  const command = program.command('list-clients').description('list the clients with their limits and counters');
  command.action(async () => {
    await withSession(io, command, async ({ connection, printer }) => {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.listClients, {}));
      const clients = all.flatMap((page) => page.clients);
      printer.block({ clients, revision: all.at(-1)?.revision }, clientTable(clients, printer.paint));
    });
  });
  example(command, 'list-clients', 'list-clients --output yaml');
}
