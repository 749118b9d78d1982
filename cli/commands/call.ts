import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { fileProblem, usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { toJsonLine, toYaml } from '../render.ts';
import { example, untilInterrupted, withSession } from './session.ts';

interface CallOptions {
  readonly data: string;
}

export function addCallCommand(program: Command, io: Io): void {
  const command = program
    .command('call')
    .description('any RPC by name, from the packaged .proto files; prints each message as one line of proto3 JSON')
    .argument('<method>', 'ListClients, or in full lb.admin.v1.AdminService/ListClients')
    .option(
      '-d, --data <json>',
      'the request as proto3 JSON, camelCase; @FILE or - to read it from there; one per line for a request stream',
      '{}',
    );
  command.action(async (methodName: string, { data }: CallOptions) => {
    // No other command needs the reader of .proto files, which takes long to load.
    const { findMethod, loadContract, readMessages, toJson } = await import('../call.ts');
    const contract = loadContract();
    const rpc = findMethod(contract, methodName);
    const requests = readMessages(contract, rpc, await readData(io, data));
    await withSession(io, command, async ({ connection, settings }) => {
      const print = (message: object) => {
        const json = toJson(contract, rpc, message);
        io.stdout.write(settings.output === 'yaml' ? `---\n${toYaml(json)}` : `${toJsonLine(json)}\n`);
      };
      const [first] = requests;
      if (!rpc.requestStream && !rpc.responseStream) {
        print(await connection.unary(rpc, first ?? {}));
        return;
      }
      await untilInterrupted(io, async (signal) => {
        const replies = rpc.requestStream ? connection.exchange(rpc, requests, signal) : connection.serverStream(rpc, first ?? {}, signal);
        for await (const message of replies) print(message);
      });
    });
  });
  example(
    command,
    'call ListClients',
    `call AddUpstreamServer -d '{"targetGroup": "FrontEndService", "server": {"address": "127.0.0.1:8083"}}'`,
    `call WatchStats -d '{"interval": "2s"}'`,
  );
}

async function readData(io: Io, data: string): Promise<string> {
  if (data === '-') return io.readStdin();
  if (!data.startsWith('@')) return data;
  const file = data.slice(1);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`cannot read ${file}: ${fileProblem(error)}; give a file after -d @`);
  }
}
