import type { Command } from 'commander';
import { type AddressGuard, AdminServiceService, type GetStateResponse, type Listener } from '../../src/gen/lb/admin/v1/admin.ts';
import type { Connection } from '../connection.ts';
import { formatAge } from '../durations.ts';
import type { Io } from '../io.ts';
import { pagesAfter } from '../paging.ts';
import { type Paint, safeText, table } from '../render.ts';
import { wordOption } from '../values.ts';
import { clientTable } from './client-table.ts';
import { targetGroupTable } from './group-table.ts';
import { example, withSession } from './session.ts';
import { upstreamServerTable } from './upstream-servers.ts';

const LOG_LEVELS: ReadonlyMap<string, string> = new Map(
  ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].map((level) => [level, level]),
);

export function addStateCommands(program: Command, io: Io): void {
  program.commandsGroup('The load balancer:');
  getStateCommand(program, io);
  logLevelCommands(program, io);
}

function getStateCommand(program: Command, io: Io): void {
  const command = program.command('get-state').description('everything at once: listeners, target groups, upstream servers, clients');
  command.action(async () => {
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await wholeState(connection);
      printer.block(reply, stateText(reply, io.nowMs(), printer.paint));
    });
  });
  example(command, 'get-state', 'get-state --output json');
}

/** The state, and of a large one what is left to the lists. What changes meanwhile may be in one list and not in another. */
async function wholeState(connection: Connection): Promise<GetStateResponse> {
  const state = await connection.unary(AdminServiceService.getState, {});
  const { listTargetGroups, listUpstreamServers, listClients } = AdminServiceService;
  const groups = pagesAfter(connection, listTargetGroups, {}, state.targetGroupsNextPageToken);
  for await (const { targetGroups } of groups) state.targetGroups.push(...targetGroups);
  const servers = pagesAfter(connection, listUpstreamServers, { targetGroup: '' }, state.serversNextPageToken);
  for await (const page of servers) state.servers.push(...page.servers);
  const clients = pagesAfter(connection, listClients, {}, state.clientsNextPageToken);
  for await (const page of clients) state.clients.push(...page.clients);
  return { ...state, targetGroupsNextPageToken: '', serversNextPageToken: '', clientsNextPageToken: '' };
}

function logLevelCommands(program: Command, io: Io): void {
  const set = program
    .command('set-log-level')
    .description('set the log level of the running lbd, in every worker; a restart forgets it')
    .addOption(wordOption('--level <level>', 'the least level that is logged', LOG_LEVELS).makeOptionMandatory());
  set.action(async ({ level }: { readonly level: string }) => {
    await withSession(io, set, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.setLogLevel, { level });
      printer.sentence(reply, `log level is ${level} now${reply.previous === '' ? '' : `, it was ${reply.previous}`}`);
    });
  });
  example(set, 'set-log-level --level debug');

  const get = program.command('get-log-level').description('the log level of the running lbd');
  get.action(async () => {
    await withSession(io, get, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.getLogLevel, {});
      printer.sentence(reply, reply.level);
    });
  });
  example(get, 'get-log-level');
}

function stateText(state: GetStateResponse, nowMs: number, paint: Paint): string {
  const uptime = state.startedAt === undefined ? '-' : formatAge(nowMs - state.startedAt.getTime());
  const head = `revision ${state.revision}, lbd ${state.version}, ${state.workers} worker${state.workers === 1 ? '' : 's'}, up ${uptime}`;
  return [
    safeText(head),
    listenerTable(state.listeners, paint),
    targetGroupTable(state.targetGroups, paint),
    upstreamServerTable(state.servers, nowMs, paint),
    clientTable(state.clients, paint),
  ].join('\n\n');
}

function listenerTable(listeners: readonly Listener[], paint: Paint): string {
  if (listeners.length === 0) return 'no listeners';
  return table(
    ['LISTENER', 'ADDRESS', 'CLIENTS COME BY', 'PER ADDRESS', 'TARGET GROUP', 'ROUTES'],
    listeners.map((listener) => {
      const { name, address, perAddress, targetGroup, routes } = listener;
      return [
        name,
        address,
        waysText(listener),
        perAddress === undefined ? '' : guardText(perAddress),
        targetGroup,
        routes.map(routeText).join(', '),
      ];
    }),
    paint,
  );
}

/** `mutual TLS, ALPN h2, PROXY from 10.0.0.0/8` */
function waysText({ plain, alpn, acceptProxyProtocol }: Listener): string {
  const offered = alpn.length === 0 ? [] : [`ALPN ${alpn.join(' ')}`];
  const proxies = acceptProxyProtocol.length === 0 ? [] : [`PROXY from ${acceptProxyProtocol.join(' ')}`];
  return [plain ? 'plain TCP' : 'mutual TLS', ...offered, ...proxies].join(', ');
}

/** `50/s (burst 100), 20 handshakes, 200 held` */
function guardText({ connectionsPerSecond, burst, pendingHandshakes, concurrentConnections }: AddressGuard): string {
  const bounds = [
    connectionsPerSecond === 0 ? [] : [`${connectionsPerSecond}/s (burst ${burst})`],
    pendingHandshakes === 0 ? [] : [`${pendingHandshakes} handshakes`],
    concurrentConnections === 0 ? [] : [`${concurrentConnections} held`],
  ];
  return bounds.flat().join(', ');
}

function routeText({ sni, alpn, targetGroup }: Listener['routes'][number]): string {
  const conditions = [sni === '' ? [] : [`sni=${sni}`], alpn === '' ? [] : [`alpn=${alpn}`]].flat();
  return `${conditions.join(' ')} -> ${targetGroup}`;
}
