/** Named ways to reach load balancers, in `~/.config/lbctl/config.yaml`. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { errorCode, errorText, fileProblem, usageError } from './errors.ts';
import type { Io } from './io.ts';

/** File names are absolute once read. */
export interface Context {
  readonly addr?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

export interface ContextFile {
  readonly currentContext: string | undefined;
  readonly contexts: ReadonlyMap<string, Context>;
}

const TEXT_FIELDS = ['addr', 'serverName'] as const;
const FILE_FIELDS = ['ca', 'cert', 'key'] as const;
const FIELDS: readonly string[] = [...TEXT_FIELDS, ...FILE_FIELDS];

/** Where the contexts are kept: XDG_CONFIG_HOME, or `~/.config`. */
export function contextFilePath(io: Pick<Io, 'env' | 'homeFolder'>): string {
  const configured = io.env['XDG_CONFIG_HOME'];
  const folder = configured !== undefined && path.isAbsolute(configured) ? configured : path.join(io.homeFolder, '.config');
  return path.join(folder, 'lbctl', 'config.yaml');
}

/** No file is no contexts. Throws a CliError when there is one that cannot be understood. */
export function readContextFile(filePath: string): ContextFile {
  let text: string;
  try {
    text = readFileSync(filePath, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { currentContext: undefined, contexts: new Map() };
    throw usageError(`cannot read ${filePath}: ${fileProblem(error)}`);
  }
  let content: unknown;
  try {
    content = parse(text) ?? {};
  } catch (error) {
    throw usageError(`${filePath} is not YAML: ${errorText(error).split('\n', 1)[0]}`);
  }
  const root = mapping(content, filePath, 'the file');
  const { currentContext } = root;
  if (currentContext !== undefined && typeof currentContext !== 'string') throw usageError(`${filePath}: currentContext: expected a name`);
  const contexts = new Map<string, Context>();
  for (const [name, value] of Object.entries(mapping(root['contexts'] ?? {}, filePath, 'contexts'))) {
    contexts.set(name, contextOf(mapping(value, filePath, `contexts.${name}`), filePath, name));
  }
  return { currentContext, contexts };
}

/** Replaces the file in one step; only its owner can read it. */
export function writeContextFile(filePath: string, { currentContext, contexts }: ContextFile): void {
  const content = { ...(currentContext === undefined ? {} : { currentContext }), contexts: Object.fromEntries(contexts) };
  const unfinished = `${filePath}.new`;
  try {
    mkdirSync(path.dirname(filePath), { recursive: true, mode: 0o700 });
    writeFileSync(unfinished, stringify(content), { mode: 0o600 });
    renameSync(unfinished, filePath);
  } catch (error) {
    throw usageError(`cannot write ${filePath}: ${fileProblem(error)}`);
  }
}

function contextOf(fields: Readonly<Record<string, unknown>>, filePath: string, name: string): Context {
  const context: Record<string, string> = {};
  for (const [field, value] of Object.entries(fields)) {
    if (!FIELDS.includes(field)) throw usageError(`${filePath}: contexts.${name}.${field}: expected one of ${FIELDS.join(', ')}`);
    if (typeof value !== 'string') throw usageError(`${filePath}: contexts.${name}.${field}: expected text`);
    context[field] = FILE_FIELDS.some((fileField) => fileField === field) ? path.resolve(path.dirname(filePath), value) : value;
  }
  return context;
}

function mapping(value: unknown, filePath: string, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw usageError(`${filePath}: ${where}: expected a mapping`);
  return { ...value };
}
