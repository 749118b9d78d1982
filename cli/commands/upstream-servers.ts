import type { Command } from 'commander';
import { AdminServiceService, HealthState, ServerMode, type UpstreamServerStatus } from '../../src/gen/lb/admin/v1/admin.ts';
import { formatAge, formatDuration, fromDuration } from '../durations.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { type Cell, type Paint, table } from '../render.ts';
import { address, count, MOST_CONNECTIONS, name } from '../values.ts';
import { wordOf } from '../words.ts';
import { addRemoveServerCommand } from './remove-upstream-server.ts';
import { type ChangeOptions, changeFields, changeOptions, example, withSession } from './session.ts';

interface ServerOptions extends ChangeOptions {
  readonly targetGroup: string;
  readonly server: string;
}

interface AddOptions extends ServerOptions {
  readonly weight?: number;
  readonly maxConnections?: number;
  readonly backup?: true;
}

export function addUpstreamServerCommands(program: Command, io: Io): void {
  program.commandsGroup('Upstream servers:');
  addCommand(program, io);
  addRemoveServerCommand(program, io);
  listCommand(program, io);
}

function addCommand(program: Command, io: Io): void {
  const command = program
    .command('add-upstream-server')
    .description('add a server to a target group; it is probed at once and takes connections after its first good probe')
    .requiredOption('--target-group <name>', 'the target group', name)
    .requiredOption('--server <host:port>', 'the server', address)
    .option('--weight <n>', 'its share of the connections; 0 takes no new ones (default: 1)', count(0, 256))
    .option('--max-connections <n>', 'the most it holds at a time (default: no bound)', count(0, MOST_CONNECTIONS))
    .option('--backup', 'use it only when no other server of the group can take a connection');
  changeOptions(command).action(async (options: AddOptions) => {
    const { targetGroup, server, weight, maxConnections = 0, backup = false } = options;
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.addUpstreamServer, {
        targetGroup,
        server: { address: server, weight, maxConnections, backup, mode: ServerMode.UNSPECIFIED },
        ...changeFields(options),
      });
      printer.sentence(reply, `added ${server} to ${targetGroup} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'add-upstream-server --target-group FrontEndService --server 127.0.0.1:8083',
    'add-upstream-server --target-group FrontEndService --server [::1]:8084 --weight 5 --max-connections 1000',
  );
}

function listCommand(program: Command, io: Io): void {
  const command = program
    .command('list-upstream-servers')
    .description('list the upstream servers with their health and counters')
    .option('--target-group <name>', 'of this target group only', name);
  command.action(async ({ targetGroup = '' }: { readonly targetGroup?: string }) => {
    await withSession(io, command, async ({ connection, printer }) => {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.listUpstreamServers, { targetGroup }));
      const servers = all.flatMap((page) => page.servers);
      printer.block({ servers, revision: all.at(-1)?.revision }, upstreamServerTable(servers, io.nowMs(), printer.paint));
    });
  });
  example(command, 'list-upstream-servers', 'list-upstream-servers --target-group FrontEndService --output json');
}

/** Upstream servers as a table, or a sentence that says there are none. */
export function upstreamServerTable(servers: readonly UpstreamServerStatus[], nowMs: number, paint: Paint): string {
  if (servers.length === 0) return 'no upstream servers';
  // Most groups have none: a column for nobody would only take room.
  const withAgents = servers.some(({ agent }) => agent !== undefined);
  const withSlowStart = servers.some(({ slowStartPercent }) => slowStartPercent !== undefined);
  const withNames = servers.some(({ resolution }) => resolution !== undefined);
  return table(
    [
      'TARGET GROUP',
      'SERVER',
      'HEALTH',
      'FOR',
      'WEIGHT',
      'ACTIVE',
      'CONNECTED',
      'FAILED',
      'MAX',
      'BACKUP',
      'PROBE TIME',
      'LAST PROBE',
      ...(withSlowStart ? ['SLOW START'] : []),
      ...(withAgents ? ['AGENT'] : []),
      ...(withNames ? ['FOUND AT'] : []),
    ],
    servers.map((status) => [
      status.targetGroup,
      status.server?.address ?? '',
      statusCell(status),
      status.since === undefined ? '' : formatAge(nowMs - status.since.getTime()),
      String(status.server?.weight ?? 1),
      String(status.counters?.active ?? 0),
      String(status.counters?.connected ?? 0),
      String(status.counters?.failed ?? 0),
      status.server === undefined || status.server.maxConnections === 0 ? '' : String(status.server.maxConnections),
      status.server?.backup === true ? 'yes' : '',
      status.lastProbeLatency === undefined ? '' : formatDuration(fromDuration(status.lastProbeLatency)),
      status.lastProbe,
      ...(withSlowStart ? [status.slowStartPercent === undefined ? '' : `${status.slowStartPercent}% of its share`] : []),
      ...(withAgents ? [agentCell(status)] : []),
      ...(withNames ? [resolutionCell(status)] : []),
    ]),
    paint,
  );
}

/** Where the host name is; a lookup that failed is said, and what was found before. */
function resolutionCell({ resolution }: UpstreamServerStatus): Cell {
  if (resolution === undefined) return '';
  const { addresses, error } = resolution;
  const found = addresses.join(' ');
  return error === '' ? found : { text: [error, found].filter((part) => part !== '').join(': '), tone: 'bad' };
}

const STANDING_WORDS: Readonly<Record<string, string>> = { drainAndDown: 'drain and down', maintenanceAndDown: 'maintenance and down' };

/** What keeps the server out comes first, then the last answer. */
function agentCell({ agent }: UpstreamServerStatus): Cell {
  if (agent === undefined) return '';
  const { said, understood, standing } = agent;
  if (standing === 'up') return { text: said, tone: understood ? 'good' : 'unsure' };
  // A later answer need not take back what keeps the server out.
  return { text: `${STANDING_WORDS[standing] ?? standing}; last: ${said}`, tone: 'bad' };
}

/** A health in its word and colour. */
export function healthCell(health: HealthState): Exclude<Cell, string> {
  const text = wordOf(health) ?? '';
  if (health === HealthState.HEALTHY) return { text, tone: 'good' };
  return { text, tone: health === HealthState.UNHEALTHY ? 'bad' : 'unsure' };
}

/** The health; a server that is kept from connections says so first, whatever its health. */
function statusCell({ server, health, ejection, inPanic }: UpstreamServerStatus): Cell {
  const known = healthCell(health);
  const isOut = ejection?.until !== undefined;
  const parts = [...(isOut ? ['ejected'] : []), known.text, ...(inPanic ? ['panic'] : [])];
  const cell = { text: parts.join(', '), tone: isOut || inPanic ? 'bad' : known.tone } as const;
  const mode = server?.mode ?? ServerMode.READY;
  if (mode !== ServerMode.DRAIN && mode !== ServerMode.MAINTENANCE) return cell;
  return { text: `${wordOf(mode)}, ${cell.text}`, tone: 'unsure' };
}
