/** Any RPC of the packaged .proto files by its name, with requests and replies in proto3 JSON. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { loadSync, type MethodDefinition, type PackageDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { usageError } from './errors.ts';
import { findPackage } from './package-folder.ts';
import type { Plain } from './plain.ts';
import { fromProtoJson, ProtoJsonProblem, toProtoJson } from './proto-json.ts';

/** Everything the .proto files define, by full name. */
export type Contract = PackageDefinition;
export type Rpc = MethodDefinition<object, object>;

/** Loads the .proto files of a folder: those that came with the package. */
export function loadContract(folder = path.join(findPackage().folder, 'proto')): Contract {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.proto'));
  return loadSync(files, { includeDirs: [folder], longs: String, enums: String, bytes: String, defaults: true });
}

/** `ListClients`, `lb.admin.v1.AdminService/ListClients`, with a dot for the slash or a slash before it. Throws a CliError. */
export function findMethod(contract: Contract, methodName: string): Rpc {
  const rpcs = servicesOf(contract).flatMap((service) => Object.values(service));
  const full = methodName.replace(/^\//, '').replace(/\.(\w+)$/, '/$1');
  const found = rpcs.filter((rpc) => (full.includes('/') ? rpc.path === `/${full}` : rpc.path.endsWith(`/${full}`)));
  const [rpc, another] = found;
  if (rpc === undefined) {
    const known = rpcs
      .filter(({ path: rpcPath }) => rpcPath.includes('.AdminService/'))
      .map(({ path: rpcPath }) => rpcPath.split('/').at(-1));
    throw usageError(`there is no method ${methodName}; expected one of ${known.join(', ')}`);
  }
  if (another !== undefined) {
    throw usageError(`${methodName} is in more than one service; give it in full: ${found.map((one) => one.path.slice(1)).join(' or ')}`);
  }
  return rpc;
}

/** The requests in this text: one, or for a request stream any number, one on each line. Throws a CliError. */
export function readMessages(contract: Contract, rpc: Rpc, text: string): readonly object[] {
  const type = fullTypeName(rpc, rpc.requestType.type);
  return splitMessages(rpc, text).map((json) => {
    try {
      return fromProtoJson(contract, type, json);
    } catch (error) {
      if (error instanceof ProtoJsonProblem) throw usageError(`--data: ${error.message}`);
      throw error;
    }
  });
}

/** A reply as proto3 JSON, fields without a value included. */
export function toJson(contract: Contract, rpc: Rpc, reply: object): Plain {
  return toProtoJson(contract, fullTypeName(rpc, rpc.responseType.type), reply);
}

/** Requests and replies stand in the package of their service. */
function fullTypeName(rpc: Rpc, type: object): string {
  const servicePackage = rpc.path.slice(1, rpc.path.lastIndexOf('.', rpc.path.indexOf('/', 1)));
  return `${servicePackage}.${'name' in type ? type.name : ''}`;
}

function splitMessages(rpc: Rpc, text: string): readonly unknown[] {
  try {
    return [JSON.parse(text.trim() === '' ? '{}' : text)];
  } catch (error) {
    if (rpc.requestStream) {
      const lines = text.split('\n').filter((line) => line.trim() !== '');
      if (lines.length > 1) return lines.flatMap((line) => splitMessages(rpc, line));
    }
    throw usageError(
      `--data is not JSON: ${error instanceof Error ? error.message : String(error)}; quote it for the shell, or use -d @FILE`,
    );
  }
}

function servicesOf(contract: Contract): readonly ServiceDefinition[] {
  return Object.values(contract).filter((definition): definition is ServiceDefinition => !('format' in definition));
}
