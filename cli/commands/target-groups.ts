import type { Command } from 'commander';
import {
  AdminServiceService,
  Algorithm,
  CheckType,
  type HealthCheck,
  OnUnhealthy,
  ServerMode,
  type TargetGroup,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { formatDuration, fromDuration, optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { type Paint, table } from '../render.ts';
import { address, collect, count, name, positiveDuration, statusRange, wordOption } from '../values.ts';
import { ALGORITHM_WORDS, CHECK_TYPE_WORDS, ON_UNHEALTHY_WORDS, wordOf } from '../words.ts';
import { type ChangeOptions, changeFields, changeOptions, example, withSession } from './session.ts';

interface NameOptions {
  readonly name?: string;
  readonly targetGroup?: string;
}

interface HealthOptions {
  readonly healthCheck?: CheckType;
  readonly healthInterval?: number;
  readonly healthTimeout?: number;
  readonly healthMaxInterval?: number;
  readonly unhealthyThreshold?: number;
  readonly healthyThreshold?: number;
  readonly healthPath?: string;
  readonly healthHost?: string;
  readonly healthStatus?: { readonly from: number; readonly to: number };
}

interface AddOptions extends NameOptions, HealthOptions, ChangeOptions {
  readonly algorithm?: Algorithm;
  readonly server?: readonly string[];
  readonly connectTimeout?: number;
  readonly retries?: number;
  readonly onUnhealthy?: OnUnhealthy;
}

export function addTargetGroupCommands(program: Command, io: Io): void {
  program.commandsGroup('Target groups:');
  addCommand(program, io);
  removeCommand(program, io);
  listCommand(program, io);
}

function addCommand(program: Command, io: Io): void {
  const command = nameOptions(program.command('add-target-group').description('add a target group, with its first servers if you like'))
    .addOption(wordOption('--algorithm <algorithm>', 'how it balances (default: leastConnections)', ALGORITHM_WORDS))
    .option('--server <host:port>', 'an upstream server; repeat it for several', collect(address))
    .addOption(wordOption('--health-check <type>', 'how its servers are probed (default: tcp)', CHECK_TYPE_WORDS))
    .option('--health-interval <duration>', 'between two probes (default: 5s)', positiveDuration)
    .option('--health-timeout <duration>', 'of a probe (default: 5s)', positiveDuration)
    .option('--health-max-interval <duration>', 'between two probes of a server that is down (default: 60s)', positiveDuration)
    .option('--unhealthy-threshold <n>', 'failures in a row that make a server unhealthy (default: 1)', count(1))
    .option('--healthy-threshold <n>', 'successes in a row that make it healthy again (default: 3)', count(1))
    .option('--health-path <path>', 'what an http check asks for (default: /)', name)
    .option('--health-host <host>', 'the Host header of an http check', name)
    .option('--health-status <from-to>', 'what an http check takes as healthy (default: 200-399)', statusRange)
    .option('--connect-timeout <duration>', 'for a connection to a server (default: 5s)', positiveDuration)
    .option('--retries <n>', 'how many other servers to try after the first refuses (default: 3)', count(0))
    .addOption(
      wordOption('--on-unhealthy <what>', 'what becomes of the connections of a server that fails (default: keep)', ON_UNHEALTHY_WORDS),
    );
  changeOptions(command).action(async (options: AddOptions) => {
    const groupName = chosenName(options);
    const targetGroup: TargetGroup = {
      name: groupName,
      algorithm: options.algorithm ?? Algorithm.UNSPECIFIED,
      servers: (options.server ?? []).map((server) => ({
        address: server,
        maxConnections: 0,
        backup: false,
        mode: ServerMode.UNSPECIFIED,
      })),
      healthCheck: healthCheckOf(options),
      connectTimeout: optionalDuration(options.connectTimeout),
      retries: options.retries,
      onUnhealthy: options.onUnhealthy ?? OnUnhealthy.UNSPECIFIED,
    };
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.addTargetGroup, { targetGroup, ...changeFields(options) });
      printer.sentence(reply, `added target group ${groupName} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'add-target-group --name FrontEndService --server 127.0.0.1:8081 --server 127.0.0.1:8082',
    'add-target-group --name api --algorithm roundRobin --health-check http --health-path /healthz --health-interval 2s',
  );
}

function removeCommand(program: Command, io: Io): void {
  const command = nameOptions(program.command('remove-target-group').description('remove a target group that nothing refers to any more'));
  changeOptions(command).action(async (options: NameOptions & ChangeOptions) => {
    const groupName = chosenName(options);
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.removeTargetGroup, { name: groupName, ...changeFields(options) });
      printer.sentence(reply, `removed target group ${groupName} (revision ${reply.revision})`);
    });
  });
  example(command, 'remove-target-group --name FrontEndService');
}

function listCommand(program: Command, io: Io): void {
  const command = program.command('list-target-groups').description('list the target groups');
  command.action(async () => {
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.listTargetGroups, {});
      printer.block(reply, targetGroupTable(reply.targetGroups, printer.paint));
    });
  });
  example(command, 'list-target-groups', 'list-target-groups --output json');
}

/** Target groups as a table, or a sentence that says there are none. */
export function targetGroupTable(groups: readonly TargetGroup[], paint: Paint): string {
  if (groups.length === 0) return 'no target groups';
  return table(
    ['NAME', 'ALGORITHM', 'SERVERS', 'HEALTH CHECK', 'CONNECT TIMEOUT', 'RETRIES', 'ON UNHEALTHY'],
    groups.map((group) => [
      group.name,
      wordOf(group.algorithm) ?? '',
      String(group.servers.length),
      healthCheckText(group.healthCheck),
      group.connectTimeout === undefined ? '' : formatDuration(fromDuration(group.connectTimeout)),
      group.retries === undefined ? '' : String(group.retries),
      wordOf(group.onUnhealthy) ?? '',
    ]),
    paint,
  );
}

function healthCheckText(check: HealthCheck | undefined): string {
  if (check === undefined) return '';
  const type = wordOf(check.type) ?? 'tcp';
  if (check.type === CheckType.NONE) return type;
  const path = check.http === undefined || check.http.path === '' ? '' : ` ${check.http.path}`;
  return check.interval === undefined ? type + path : `${type}${path} every ${formatDuration(fromDuration(check.interval))}`;
}

function healthCheckOf(options: HealthOptions): HealthCheck | undefined {
  const { healthPath, healthHost, healthStatus } = options;
  const http = healthPath !== undefined || healthHost !== undefined || healthStatus !== undefined;
  if (http && options.healthCheck !== CheckType.HTTP) {
    throw usageError('--health-path, --health-host and --health-status are for --health-check http; give that too');
  }
  const given = [
    options.healthInterval,
    options.healthTimeout,
    options.healthMaxInterval,
    options.unhealthyThreshold,
    options.healthyThreshold,
  ];
  if (options.healthCheck === undefined && given.every((value) => value === undefined)) return undefined;
  return {
    type: options.healthCheck ?? CheckType.TCP,
    interval: optionalDuration(options.healthInterval),
    timeout: optionalDuration(options.healthTimeout),
    unhealthyThreshold: options.unhealthyThreshold ?? 0,
    healthyThreshold: options.healthyThreshold ?? 0,
    maxInterval: optionalDuration(options.healthMaxInterval),
    http: http
      ? { path: healthPath ?? '', host: healthHost ?? '', statusFrom: healthStatus?.from ?? 0, statusTo: healthStatus?.to ?? 0 }
      : undefined,
  };
}

function nameOptions(command: Command): Command {
  return command.option('--name <name>', 'the name of the target group', name).option('--target-group <name>', 'the same as --name', name);
}

function chosenName(options: NameOptions): string {
  const chosen = options.name ?? options.targetGroup;
  if (chosen === undefined) throw usageError('which target group? give --name');
  if (options.targetGroup !== undefined && options.targetGroup !== chosen) throw usageError('--name and --target-group differ; give one');
  return chosen;
}
