/** A configuration that a program gives as objects, in the shape of the YAML file. */
import type { z } from 'zod';
import type { Client } from '../domain/model.ts';
import type { Config } from './config.ts';
import { parseConfig } from './parse.ts';
import { ConfigError } from './problems.ts';
import type { client } from './schema/clients.ts';
import type { fileSchema } from './schema/file.ts';

/** What may stand in the YAML file: the same keys, the same defaults, but nothing is kept on disk unless `store` says so. */
export type ConfigDocument = z.input<typeof fileSchema>;

/** One entry of `clients`. */
export type ClientDocument = z.input<typeof client>;

/** Paths in it are relative to the working directory. @throws ConfigError with every problem, by key */
export function configFrom(document: ConfigDocument): Config {
  try {
    return parseConfig(JSON.stringify({ store: { kind: 'memory' }, ...document }), 'config');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // There is no text whose lines and columns would mean something.
    throw new ConfigError(error.problems.map(({ file, path, expected }) => ({ file, path, expected })));
  }
}

/** Checked as if it stood in a file. Whether its groups exist is for the state to say. @throws ConfigError with every problem, by key */
export function clientFrom(document: ClientDocument): Client {
  const { allowedTargetGroup, allowedTargetGroups } = document;
  // What is no list is refused below, with its key.
  const names = new Set(Array.isArray(allowedTargetGroups) ? allowedTargetGroups : []);
  if (allowedTargetGroup !== undefined) names.add(allowedTargetGroup);
  const { clients } = configFrom({
    listenAddress: '127.0.0.1:0',
    tlsParams: { certificate: 'unused', privateKey: 'unused', caCert: 'unused' },
    targetGroups: [...names].map((name) => ({ name, upstreamServers: [] })),
    clients: [document],
  });
  const [only] = clients;
  if (only === undefined) throw new Error('a configuration with one client was read without it');
  return only;
}
