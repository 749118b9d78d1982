import type { Command } from 'commander';
import {
  AdminServiceService,
  type GetActiveConnectionsResponse,
  type ReasonCount,
  type ServerCount,
} from '../../src/gen/lb/admin/v1/admin.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { type Paint, table } from '../render.ts';
import { address, name } from '../values.ts';
import { example, withSession } from './session.ts';

export function addCounterCommands(program: Command, io: Io): void {
  program.commandsGroup('What is going on:');
  activeCommand(program, io);
  droppedCommand(program, io);
  failedCommand(program, io);
}

function activeCommand(program: Command, io: Io): void {
  const command = program
    .command('get-active-connections')
    .description('the connections being served now, by server')
    .option('--target-group <name>', 'of this target group only', name);
  command.action(async ({ targetGroup = '' }: { readonly targetGroup?: string }) => {
    await withSession(io, command, async ({ connection, printer }) => {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.getActiveConnections, { targetGroup }));
      const { total, servers } = inOne(all);
      printer.block({ total, servers }, `${serverCounts(servers, 'ACTIVE', printer.paint)}total: ${total}`);
    });
  });
  example(command, 'get-active-connections --target-group FrontEndService');
}

function droppedCommand(program: Command, io: Io): void {
  const command = program
    .command('get-dropped-requests')
    .description('the connections refused since lbd started, by reason')
    .option('--client <id>', 'of this client only', name);
  command.action(async ({ client: clientId = '' }: { readonly client?: string }) => {
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.getDroppedRequests, { clientId });
      printer.block(reply, `${reasonCounts(reply.byReason, printer.paint)}total: ${reply.total}`);
    });
  });
  example(command, 'get-dropped-requests --client clientA.bardomain.com');
}

function failedCommand(program: Command, io: Io): void {
  const command = program
    .command('get-failed-connections')
    .description('the attempts to connect to upstream servers that failed since lbd started')
    .option('--server <host:port>', 'to this server only', address);
  command.action(async ({ server = '' }: { readonly server?: string }) => {
    await withSession(io, command, async ({ connection, printer }) => {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.getFailedConnections, { server }));
      const { total, servers } = inOne(all);
      printer.block({ total, servers }, `${serverCounts(servers, 'FAILED', printer.paint)}total: ${total}`);
    });
  });
  example(command, 'get-failed-connections --server 127.0.0.1:8081');
}

/** The servers of every page, and the total, which each page says over all of them. */
function inOne(all: readonly GetActiveConnectionsResponse[]): Pick<GetActiveConnectionsResponse, 'total' | 'servers'> {
  return { total: all.at(-1)?.total ?? 0n, servers: all.flatMap(({ servers }) => servers) };
}

function serverCounts(servers: readonly ServerCount[], title: string, paint: Paint): string {
  if (servers.length === 0) return '';
  const rows = servers.map(({ targetGroup, server, count }) => [targetGroup, server, String(count)]);
  return `${table(['TARGET GROUP', 'SERVER', title], rows, paint)}\n`;
}

function reasonCounts(reasons: readonly ReasonCount[], paint: Paint): string {
  if (reasons.length === 0) return '';
  const rows = reasons.map(({ reason, count }) => [reason, String(count)]);
  return `${table(['REASON', 'REFUSED'], rows, paint)}\n`;
}
