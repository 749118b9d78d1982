/** The connections being served: a list, a watch, and an end. */
import type { Command } from 'commander';
import {
  AdminServiceService,
  type Connection,
  type ConnectionFilter,
  WatchConnectionsResponse_Kind as Kind,
  type Wait,
  Wait_Kind,
  type WatchConnectionsResponse,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { formatAge } from '../durations.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { type Cell, type Paint, table, tableLine } from '../render.ts';
import { formatBytes } from '../sizes.ts';
import { timeOf } from '../times.ts';
import { address, name } from '../values.ts';
import { closedText } from './closing.ts';
import { type CountedOptions, countedOptions, follow } from './following.ts';
import { example, withSession } from './session.ts';

interface FilterOptions {
  readonly client?: string;
  readonly targetGroup?: string;
  readonly server?: string;
  readonly reason?: string;
  readonly id?: string;
}

export function addConnectionCommands(program: Command, io: Io): void {
  listCommand(program, io);
  watchCommand(program, io);
  closeCommand(program, io);
}

function listCommand(program: Command, io: Io): void {
  const command = filterOptions(
    program
      .command('list-connections')
      .description(
        'the connections being served now, and those that wait for their turn or for a server, or are being connected to one, oldest first',
      ),
  );
  command.action(async (options: FilterOptions) => {
    await withSession(io, command, async ({ connection, printer }) => {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.listConnections, { filter: filterOf(options) }));
      const listed = all.flatMap((page) => page.connections);
      printer.block({ connections: listed }, connectionTable(listed, io.nowMs(), printer.paint));
    });
  });
  example(command, 'list-connections', 'list-connections --client clientA.bardomain.com --output json');
}

function watchCommand(program: Command, io: Io): void {
  const command = filterOptions(
    program
      .command('watch-connections')
      .description(
        'the connections being served or waiting, then each that waits, is opened, closed or refused, until Ctrl-C; it goes on when lbd restarts',
      ),
  ).option('--reason <reason>', 'only those that ended, or were refused, for this reason', name);
  countedOptions(command, ' connections and changes').action(async (options: FilterOptions & CountedOptions) => {
    const request = { filter: filterOf(options) };
    await withSession(io, command, async (session) => {
      let seen = 0;
      await follow(io, session, options, {
        open: (connection, signal) => connection.serverStream(AdminServiceService.watchConnections, request, signal),
        missed: 'what opened, closed or was refused meanwhile is missed; the connections that are open now follow',
        each: (message) => {
          session.printer.event(message, connectionLine(message, session.printer.paint));
          return message.kind !== Kind.SYNCED && ++seen === options.count;
        },
      });
    });
  });
  example(command, 'watch-connections', 'watch-connections --reason rate_limited --output json');
}

function closeCommand(program: Command, io: Io): void {
  const command = filterOptions(
    program
      .command('close-connections')
      .description('reset the connections that fit every option given, those that are not served yet too'),
  );
  command.action(async (options: FilterOptions) => {
    const filter = filterOf(options);
    if (Object.values(filter).every((value) => value === '')) {
      throw usageError('which connections? give --client, --target-group, --server or --id');
    }
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.closeConnections, { filter });
      printer.sentence(reply, closedText(reply, {}));
    });
  });
  example(command, 'close-connections --client clientA.bardomain.com', 'close-connections --server 127.0.0.1:8081');
}

function filterOptions(command: Command): Command {
  return command
    .option('--client <id>', 'of this client only', name)
    .option('--target-group <name>', 'of this target group only', name)
    .option('--server <host:port>', 'of this upstream server only', address)
    .option('--id <id>', 'this connection only', name);
}

function filterOf({ client = '', targetGroup = '', server = '', reason = '', id = '' }: FilterOptions): ConnectionFilter {
  return { clientId: client, targetGroup, server, reason, connectionId: id };
}

function connectionTable(listed: readonly Connection[], nowMs: number, paint: Paint): string {
  if (listed.length === 0) return 'no connections';
  return table(
    ['ID', 'CLIENT', 'REMOTE', 'LISTENER', 'TARGET GROUP', 'SERVER', 'FOR', 'FROM CLIENT', 'TO CLIENT'],
    listed.map((one) => [
      one.id,
      one.clientId,
      one.via === '' ? one.remote : `${one.remote} via ${one.via}`,
      one.listener,
      one.targetGroup,
      one.waiting === undefined ? one.server : { text: waitText(one.waiting, one.server), tone: 'unsure' },
      ageText(one.openedAt ?? one.waiting?.since, nowMs),
      formatBytes(one.bytesFromClient),
      formatBytes(one.bytesToClient),
    ]),
    paint,
  );
}

function ageText(since: Date | undefined, nowMs: number): string {
  return since === undefined ? '' : formatAge(nowMs - since.getTime());
}

function waitText(wait: Wait, server: string): string {
  return wait.kind === Wait_Kind.CONNECTING ? `connecting to ${server}` : `waits ${waitsFor(wait)}`;
}

function waitsFor({ kind }: Wait): string {
  if (kind === Wait_Kind.CONNECTING) return 'to be connected';
  return kind === Wait_Kind.DELAYED ? 'for its turn' : 'for a server';
}

/** One line for a connection or what became of it; none for the end of the state. */
function connectionLine({ kind, at, connection, reason, detail }: WatchConnectionsResponse, paint: Paint): string | undefined {
  const what = WHAT_HAPPENED[kind];
  if (what === undefined) return undefined;
  const who = connection === undefined ? '' : connection.clientId === '' ? connection.identity : connection.clientId;
  const end = detail === '' ? reason : `${reason}: ${detail}`;
  const why = connection?.waiting === undefined ? end : waitsFor(connection.waiting);
  return tableLine(
    [timeOf(at), what, connection?.id ?? '', who, connection?.remote ?? '', connection?.server ?? '', why],
    [9, 7, 12, 24, 21, 21],
    paint,
  );
}

const WHAT_HAPPENED: Readonly<Partial<Record<Kind, Cell>>> = {
  [Kind.STATE]: 'open',
  [Kind.WAITING]: { text: 'waiting', tone: 'unsure' },
  [Kind.OPENED]: { text: 'opened', tone: 'good' },
  [Kind.CLOSED]: 'closed',
  [Kind.REFUSED]: { text: 'refused', tone: 'bad' },
};
