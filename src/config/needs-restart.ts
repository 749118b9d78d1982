import { isDeepStrictEqual } from 'node:util';
import type { Config, Running } from './config.ts';
import { analyseConfig, type ParseOptions } from './parse.ts';
import type { Problem } from './problems.ts';

const SETTINGS = ['timeouts', 'workers', 'maxPendingHandshakes', 'metrics', 'store', 'logLevel'] as const;

/** A configuration for a balancer that is running. */
export interface ConfigForRunning extends Pick<Config, 'listeners' | 'targetGroups' | 'clients' | 'revocations'> {
  /** What takes effect only when lbd starts with it: one phrase each. */
  readonly needsRestart: readonly string[];
}

/** Reads the text as if it stood in place of the running configuration's file. */
export function parseForRunning(
  running: Running,
  text: string,
  options: ParseOptions = {},
): ConfigForRunning | { readonly problems: readonly Problem[] } {
  const { config, problems } = analyseConfig(text, running.file, options);
  if (config === undefined) return { problems };
  const { listeners, targetGroups, clients, revocations } = config;
  return { listeners, targetGroups, clients, revocations, needsRestart: needsRestart(running, config) };
}

/** What differs between two configurations and takes effect only when lbd starts with the new one: one phrase each. */
export function needsRestart(running: Running, wanted: Running): readonly string[] {
  const settings = SETTINGS.filter((key) => !isDeepStrictEqual(running[key], wanted[key]));
  return [...adminChanges(running, wanted), ...settings.map((key) => `${key} changes`)];
}

function adminChanges({ admin: running }: Running, { admin: wanted }: Running): string[] {
  return [
    ...(isDeepStrictEqual(running.address, wanted.address) ? [] : ['admin.address changes']),
    ...(isDeepStrictEqual(running.tls, wanted.tls) ? [] : ['admin.tls changes']),
    ...(isDeepStrictEqual(running.roles, wanted.roles) ? [] : ['admin.roles change']),
  ];
}
