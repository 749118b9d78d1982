import type { Command } from 'commander';
import {
  AdminServiceService,
  type ClientStatus,
  type ConnectionRate,
  type IdentityMatch,
  LimitAction,
  type Limits,
  RateAlgorithm,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { formatDuration, fromDuration, optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { type Paint, table } from '../render.ts';
import { collect, count, name, positiveDuration, wordOption } from '../values.ts';
import { LIMIT_ACTION_WORDS, RATE_ALGORITHM_WORDS, wordOf } from '../words.ts';
import { type CloseOptions, closedText, closeFields, closeOptions } from './closing.ts';
import { type ChangeOptions, changeFields, changeOptions, example, withSession } from './session.ts';

interface LimitOptions {
  readonly requestsPerSecond?: number;
  readonly limit?: number;
  readonly window?: number;
  readonly algorithm?: RateAlgorithm;
  readonly burst?: number;
  readonly action?: LimitAction;
  readonly maxDelay?: number;
  readonly concurrentConnections?: number;
}

interface MatchOptions {
  readonly matchCn?: string;
  readonly matchDns?: string;
  readonly matchUri?: string;
  readonly matchOu?: string;
  readonly matchFingerprint?: string;
}

interface AddOptions extends LimitOptions, MatchOptions, ChangeOptions {
  readonly client: string;
  readonly targetGroup?: readonly string[];
  readonly allowedTargetGroup?: readonly string[];
}

export function addClientCommands(program: Command, io: Io): void {
  program.commandsGroup('Clients:');
  addCommand(program, io);
  removeCommand(program, io);
  listCommand(program, io);
}

function addCommand(program: Command, io: Io): void {
  const command = program
    .command('add-client')
    .description('add a client: who it is, which target groups it may reach, and how fast')
    .requiredOption('--client <id>', 'its name; without --match options, the common name or a DNS or URI name of its certificate', name)
    .option('--target-group <name>', 'a target group it may reach; repeat it for several', collect(name))
    .option('--allowed-target-group <name>', 'the same as --target-group', collect(name))
    .option('--requests-per-second <n>', 'short for --limit N --window 1s', count(1))
    .option('--limit <n>', 'new connections per window (default: no bound)', count(1))
    .option('--window <duration>', 'the window of --limit (default: 1s)', positiveDuration)
    .addOption(wordOption('--algorithm <algorithm>', 'how --limit counts (default: fixedWindow)', RATE_ALGORITHM_WORDS))
    .option('--burst <n>', 'size of the tokenBucket, depth of the leakyBucket (default: the limit)', count(1))
    .addOption(wordOption('--action <action>', 'what becomes of a connection over the limit (default: reset)', LIMIT_ACTION_WORDS))
    .option('--max-delay <duration>', 'the longest wait with --action delay (default: 5s)', positiveDuration)
    .option('--concurrent-connections <n>', 'connections at a time (default: no bound)', count(1))
    .option('--match-cn <name>', 'its certificate has this common name', name)
    .option('--match-dns <name>', '... this DNS name', name)
    .option('--match-uri <uri>', '... this URI name, for example a SPIFFE id', name)
    .option('--match-ou <unit>', '... this organizational unit', name)
    .option('--match-fingerprint <sha256>', '... this SHA-256 fingerprint', name);
  changeOptions(command).action(async (options: AddOptions) => {
    const { client: clientId } = options;
    const allowedTargetGroups = [...(options.targetGroup ?? []), ...(options.allowedTargetGroup ?? [])];
    if (allowedTargetGroups.length === 0) throw usageError('which target group may the client reach? give --target-group');
    const client = { clientId, match: matchOf(options), allowedTargetGroups, limits: limitsOf(options) };
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.addClient, { client, ...changeFields(options) });
      printer.sentence(reply, `added client ${clientId} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'add-client --client clientA.bardomain.com --target-group FrontEndService --requests-per-second 10',
    'add-client --client billing --match-uri spiffe://example.org/billing --target-group DBService --limit 100 --window 1m --algorithm slidingWindowLog',
  );
}

function removeCommand(program: Command, io: Io): void {
  const command = program
    .command('remove-client')
    .description('remove a client; its connections are closed, those of others are not touched')
    .requiredOption('--client <id>', 'the client', name);
  changeOptions(closeOptions(command)).action(async (options: ChangeOptions & CloseOptions & { readonly client: string }) => {
    const { client: clientId } = options;
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.removeClient, {
        clientId,
        ...closeFields(options),
        ...changeFields(options),
      });
      printer.sentence(reply, `removed client ${clientId}, ${closedText(reply.connectionsClosed, options)} (revision ${reply.revision})`);
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

/** Clients as a table, or a sentence that says there are none. */
export function clientTable(clients: readonly ClientStatus[], paint: Paint): string {
  if (clients.length === 0) return 'no clients';
  return table(
    ['CLIENT', 'TARGET GROUPS', 'RATE', 'CONCURRENT', 'ACTIVE', 'ACCEPTED', 'REFUSED', 'MATCH'],
    clients.map(({ client, counters }) => [
      client?.clientId ?? '',
      client?.allowedTargetGroups.join(', ') ?? '',
      rateText(client?.limits?.connectionRate),
      client?.limits === undefined || client.limits.concurrentConnections === 0 ? '' : String(client.limits.concurrentConnections),
      String(counters?.active ?? 0),
      String(counters?.accepted ?? 0),
      String(counters?.refused ?? 0),
      matchText(client?.match),
    ]),
    paint,
  );
}

function rateText(rate: ConnectionRate | undefined): string {
  if (rate === undefined) return '';
  const window = rate.window === undefined ? '1s' : formatDuration(fromDuration(rate.window));
  const how = [wordOf(rate.algorithm), wordOf(rate.action)].filter((part) => part !== undefined);
  return [`${rate.limit} per ${window}`, ...how].join(' ');
}

function matchText(match: IdentityMatch | undefined): string {
  return Object.entries(match ?? {})
    .filter(([, value]) => value !== '')
    .map(([field, value]) => `${field}=${value}`)
    .join(' ');
}

function matchOf(options: MatchOptions): IdentityMatch | undefined {
  const { matchCn: cn = '', matchDns: dns = '', matchUri: uri = '', matchOu: ou = '', matchFingerprint: fingerprint = '' } = options;
  const match = { cn, dns, uri, ou, fingerprint };
  return Object.values(match).some((value) => value !== '') ? match : undefined;
}

function limitsOf(options: LimitOptions): Limits | undefined {
  const connectionRate = connectionRateOf(options);
  const { concurrentConnections = 0 } = options;
  return connectionRate === undefined && concurrentConnections === 0 ? undefined : { connectionRate, concurrentConnections };
}

function connectionRateOf(options: LimitOptions): ConnectionRate | undefined {
  const { requestsPerSecond, window, algorithm, burst, action, maxDelay } = options;
  if (requestsPerSecond !== undefined && (options.limit !== undefined || window !== undefined)) {
    throw usageError('--requests-per-second N is short for --limit N --window 1s; give the one or the other');
  }
  const limit = options.limit ?? requestsPerSecond;
  if (limit === undefined) {
    if ([window, algorithm, burst, action, maxDelay].every((value) => value === undefined)) return undefined;
    throw usageError(
      '--window, --algorithm, --burst, --action and --max-delay describe a limit; give --limit or --requests-per-second too',
    );
  }
  return {
    limit,
    window: optionalDuration(requestsPerSecond === undefined ? window : 1_000),
    algorithm: algorithm ?? RateAlgorithm.UNSPECIFIED,
    burst: burst ?? 0,
    action: action ?? LimitAction.UNSPECIFIED,
    maxDelay: optionalDuration(maxDelay),
  };
}
