import { existsSync } from 'node:fs';
import path from 'node:path';
import type { UpstreamTls } from '../domain/model.ts';
import type { TlsParams } from '../domain/tls-material.ts';
import { buildConfig, type ResolvePath, resolveTls } from './build.ts';
import type { Config } from './config.ts';
import { crossProblems, tlsMappings } from './cross-checks.ts';
import { lockoutProblems } from './lockout-checks.ts';
import { ConfigError, formatPath, type PathStep, type Problem } from './problems.ts';
import { fileSchema } from './schema/file.ts';
import { tlsParams } from './schema/tls.ts';
import { schemaProblems } from './schema-problems.ts';
import { positionOf, readSource, type SourceNode, type SourceProblem } from './source.ts';

export interface ParseOptions {
  /** Where relative paths are looked up that are not beside the config file; the process's own without it. */
  readonly cwd?: string;
  readonly exists?: (absolutePath: string) => boolean;
}

/** What a text says, and what is wrong with it. */
export interface Analysis {
  /** undefined when there is a problem. */
  readonly config: Config | undefined;
  /** In the order of the file. */
  readonly problems: readonly Problem[];
  /** The TLS parameters that are whole, whatever else is wrong. */
  readonly tls: readonly LocatedTls[];
  /** The target groups' own, when nothing else is wrong. */
  readonly upstreamTls: readonly LocatedUpstreamTls[];
}

export interface LocatedTls {
  readonly params: TlsParams;
  /** Where the file says so, such as `listeners[0].tls`. */
  readonly usedBy: string;
  /** A problem with the value of this key (or path, such as `certificates[0].privateKey`), at its place. */
  problemAt(key: string, expected: string): Problem;
}

export interface LocatedUpstreamTls {
  readonly group: string;
  readonly settings: UpstreamTls;
  /** A problem with the value of this key (or path, such as `certificates[0].privateKey`), at its place. */
  problemAt(key: string, expected: string): Problem;
}

/**
 * Reads the text of a config file; `file` names it in messages, and relative paths in it start beside it.
 * @throws ConfigError with every problem, in the order of the file.
 */
export function parseConfig(text: string, file: string, options: ParseOptions = {}): Config {
  const { config, problems } = analyseConfig(text, file, options);
  if (config === undefined) throw new ConfigError(problems);
  return config;
}

/** As {@link parseConfig}, saying what is wrong instead of throwing. */
export function analyseConfig(text: string, file: string, { cwd = process.cwd(), exists = existsSync }: ParseOptions = {}): Analysis {
  const { root, problems } = readSource(text);
  if (root === undefined) return { config: undefined, problems: inOrder(file, problems), tls: [], upstreamTls: [] };
  const result = fileSchema.safeParse(root.value);
  const all = [
    ...problems,
    ...(result.success ? [] : schemaProblems(root, result.error.issues)),
    ...crossProblems(root),
    ...lockoutProblems(root),
  ];

  const absolute = path.resolve(cwd, file);
  const resolvePath = pathResolver(path.dirname(absolute), cwd, exists);
  const config = result.success && all.length === 0 ? buildConfig(result.data, absolute, resolvePath) : undefined;
  const upstreamTls = config === undefined ? [] : locatedUpstreamTls(root, file, config);
  return { config, problems: inOrder(file, all), tls: locatedTls(root, file, resolvePath), upstreamTls };
}

/** Beside the config file first, then in the working directory; when in neither, beside the config file. */
function pathResolver(folder: string, cwd: string, exists: (absolutePath: string) => boolean): ResolvePath {
  return (written) => {
    const beside = path.resolve(folder, written);
    const inCwd = path.resolve(cwd, written);
    return !exists(beside) && exists(inCwd) ? inCwd : beside;
  };
}

function locatedTls(root: SourceNode, file: string, resolvePath: ResolvePath): LocatedTls[] {
  return tlsMappings(root).flatMap((node) => {
    const result = tlsParams.safeParse(node.value);
    if (!result.success) return [];
    return [{ params: resolveTls(result.data, resolvePath), usedBy: formatPath(node.path), problemAt: problemsAt(root, file, node.path) }];
  });
}

function locatedUpstreamTls(root: SourceNode, file: string, { targetGroups }: Config): LocatedUpstreamTls[] {
  return targetGroups.flatMap(({ name: group, upstreamTls: settings }, index) =>
    settings === undefined ? [] : [{ group, settings, problemAt: problemsAt(root, file, ['targetGroups', index, 'upstreamTls']) }],
  );
}

function problemsAt(root: SourceNode, file: string, within: readonly PathStep[]): LocatedTls['problemAt'] {
  return (key, expected) => {
    const at = [...within, ...stepsOf(key)];
    return { file, ...positionOf(root, at), path: formatPath(at), expected };
  };
}

/** `certificates[0].privateKey` -> certificates, 0, privateKey */
function stepsOf(key: string): readonly PathStep[] {
  return key.split(/[.[\]]+/).map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}

/** One problem for each value: the first that was found is the simplest, and others often follow from it. */
function inOrder(file: string, problems: readonly SourceProblem[]): Problem[] {
  const byPlace = new Map<string, Problem>();
  for (const { path: at, position, expected } of problems) {
    const problem = { file, ...position, path: formatPath(at), expected };
    const place = `${position.line}:${position.col}:${problem.path}`;
    if (!byPlace.has(place)) byPlace.set(place, problem);
  }
  return sortProblems([...byPlace.values()]);
}

/** In the order of the file. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.col ?? 0) - (b.col ?? 0));
}
