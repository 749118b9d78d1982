import type { Command } from 'commander';
import { AdminServiceService, ServerMode, TargetGroup } from '../../src/gen/lb/admin/v1/admin.ts';
import type { Connection } from '../connection.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { address, collect, name } from '../values.ts';
import { type BehaviourOptions, behaviourOf, behaviourOptions, fieldsGiven, withoutOptions } from './group-options.ts';
import { targetGroupTable } from './group-table.ts';
import { type ChangeOptions, changeFields, changeOptions, example, withSession } from './session.ts';

interface NameOptions {
  readonly name?: string;
  readonly targetGroup?: string;
}

interface AddOptions extends NameOptions, BehaviourOptions, ChangeOptions {
  readonly server?: readonly string[];
}

type UpdateOptions = NameOptions & BehaviourOptions & ChangeOptions;

export function addTargetGroupCommands(program: Command, io: Io): void {
  program.commandsGroup('Target groups:');
  addCommand(program, io);
  updateCommand(program, io);
  removeCommand(program, io);
  listCommand(program, io);
}

function addCommand(program: Command, io: Io): void {
  const command = nameOptions(
    program.command('add-target-group').description('add a target group, with its first servers if you like'),
  ).option('--server <host:port>', 'an upstream server; repeat it for several', collect(address));
  changeOptions(behaviourOptions(command)).action(async (options: AddOptions) => {
    const groupName = chosenName(options);
    const servers = (options.server ?? []).map((server) => ({
      address: server,
      maxConnections: 0,
      backup: false,
      mode: ServerMode.UNSPECIFIED,
    }));
    const targetGroup = TargetGroup.create({ ...behaviourOf(options), name: groupName, servers });
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.addTargetGroup, { targetGroup, ...changeFields(options) });
      printer.sentence(reply, `added target group ${groupName} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'add-target-group --name FrontEndService --server 127.0.0.1:8081 --server 127.0.0.1:8082',
    'add-target-group --name api --algorithm roundRobin --health-check http --health-path /healthz --health-interval 2s',
    "add-target-group --name cache --algorithm clientHash --health-check sendExpect --health-send 'PING\\r\\n' --health-expect +PONG",
    'add-target-group --name cart --health-check grpc --health-grpc-service shop.Cart --upstream-tls-ca /etc/portcullis/internalCA.pem',
  );
}

function updateCommand(program: Command, io: Io): void {
  const command = nameOptions(
    program.command('update-target-group').description('change what is given of how a target group balances and checks; its servers stay'),
  );
  changeOptions(withoutOptions(behaviourOptions(command))).action(async (options: UpdateOptions) => {
    const groupName = chosenName(options);
    const fields = fieldsGiven(options);
    if (fields.length === 0) throw usageError(`nothing to change; see lbctl ${command.name()} --help`);
    await withSession(io, command, async ({ connection, printer }) => {
      // What is not said of a field with parts stays as it is, and the change is made only while that holds.
      const current = fields.some(({ hasParts }) => hasParts) ? await currentGroup(connection, groupName) : undefined;
      const targetGroup = TargetGroup.create({ ...behaviourOf(options, current?.group), name: groupName });
      const { expectedRevision, requestId } = changeFields(options);
      const guard = expectedRevision === 0n ? (current?.revision ?? 0n) : expectedRevision;
      const request = { targetGroup, updateMask: fields.map(({ path }) => path), expectedRevision: guard, requestId };
      const reply = await connection.unary(AdminServiceService.updateTargetGroup, request);
      const done = reply.nothingToChange ? 'nothing to change in' : 'updated';
      printer.sentence(reply, `${done} target group ${groupName} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    'update-target-group --name FrontEndService --algorithm powerOfTwoChoices',
    'update-target-group --name FrontEndService --health-interval 2s --retries 1',
    'update-target-group --name FrontEndService --slow-start 30s --panic-threshold 50 --outlier-failures 3',
    'update-target-group --name FrontEndService --queue-length 100 --queue-timeout 2s --send-proxy-protocol v2',
    'update-target-group --name FrontEndService --no-queue --no-upstream-tls --send-proxy-protocol none',
  );
}

/** A group that is not there is for the server to refuse. */
async function currentGroup(
  connection: Connection,
  groupName: string,
): Promise<{ readonly group: TargetGroup | undefined; readonly revision: bigint }> {
  let readAt = 0n;
  for await (const { targetGroups, revision } of pages(connection, AdminServiceService.listTargetGroups, {})) {
    const found = targetGroups.find((group) => group.name === groupName);
    if (found !== undefined) return { group: found, revision };
    readAt = revision;
  }
  return { group: undefined, revision: readAt };
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
      const all = await Array.fromAsync(pages(connection, AdminServiceService.listTargetGroups, {}));
      const targetGroups = all.flatMap((page) => page.targetGroups);
      const statuses = all.flatMap((page) => page.statuses);
      printer.block({ targetGroups, revision: all.at(-1)?.revision, statuses }, targetGroupTable(targetGroups, printer.paint, statuses));
    });
  });
  example(command, 'list-target-groups', 'list-target-groups --output json');
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
