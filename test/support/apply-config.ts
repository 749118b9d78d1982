/** ApplyConfig over a running daemon, from its own config file with a few keys changed. */
import { readFileSync } from 'node:fs';
import {
  type AdminServiceClient,
  type ApplyConfigResponse,
  CloseMode,
  AdminServiceService as rpc,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from './admin-server.ts';
import type { Daemon } from './daemon.ts';

/** The daemon's config file as it is, with these keys in place of its own; undefined removes one. */
export function configWith({ configFile }: Pick<Daemon, 'configFile'>, changes: Readonly<Record<string, unknown>>): string {
  const document: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(configFile, 'utf8'));
  return JSON.stringify({ ...document, ...changes });
}

/** Resolves when the change is in force in every worker. */
export function applyConfig(admin: AdminServiceClient, config: string): Promise<ApplyConfigResponse> {
  return ask(admin, rpc.applyConfig, { config, mode: CloseMode.UNSPECIFIED, deadline: undefined, expectedRevision: 0n, requestId: '' });
}
