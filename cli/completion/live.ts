/** The names that the server and the context file know, for completion: quickly or not at all. */

import { AdminServiceService } from '../../src/gen/lb/admin/v1/admin.ts';
import { type Connection, connect } from '../connection.ts';
import { contextFilePath, readContextFile } from '../contexts.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { resolveSettings } from '../settings.ts';
import type { LiveKind } from './words.ts';

/** How long a shell waits for the server after the tab key. */
const TIMEOUT_MS = 1_000;

const NEWEST_REVISIONS = 20;

/** Names that a shell can take as they are; another could be more than a word of it. */
const SAFE = /^[\w.\-:/@*[\]]{1,300}$/;

/**
 * The names of this kind, where `typed` is what stands on the command line so far: its global options say which server to ask, and
 * `--target-group` which servers. Throws for whatever goes wrong.
 */
export async function liveWords(io: Io, kind: LiveKind, typed: readonly string[]): Promise<readonly string[]> {
  const names = await namesOf(io, kind, typed);
  return [...new Set(names)].filter((name) => SAFE.test(name)).sort();
}

async function namesOf(io: Io, kind: LiveKind, typed: readonly string[]): Promise<readonly string[]> {
  if (kind === 'contexts') return [...readContextFile(contextFilePath(io)).contexts.keys()];
  const option = (flag: string) => valueAfter(typed, flag);
  const given = Object.entries({
    addr: option('--addr'),
    ca: option('--ca'),
    cert: option('--cert'),
    key: option('--key'),
    serverName: option('--server-name'),
    context: option('--context'),
  }).filter(([, value]) => value !== undefined);
  const settings = resolveSettings(io, { ...Object.fromEntries(given), timeout: TIMEOUT_MS, output: 'table' });
  const connection = await connect(settings);
  try {
    return await ask(connection, kind, option('--target-group') ?? '');
  } finally {
    connection.close();
  }
}

async function ask(connection: Connection, kind: Exclude<LiveKind, 'contexts'>, targetGroup: string): Promise<readonly string[]> {
  switch (kind) {
    case 'groups': {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.listTargetGroups, {}));
      return all.flatMap((page) => page.targetGroups.map((group) => group.name));
    }
    case 'clients': {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.listClients, {}));
      return all.flatMap(({ clients }) => clients).flatMap(({ client }) => (client === undefined ? [] : [client.clientId]));
    }
    case 'listeners':
      return (await connection.unary(AdminServiceService.getState, {})).listeners.map((listener) => listener.name);
    case 'reasons':
      return reasonsSoFar(connection);
    case 'revisions': {
      const { revisions } = await connection.unary(AdminServiceService.listRevisions, { pageSize: NEWEST_REVISIONS, pageToken: '' });
      return revisions.map((one) => String(one.revision));
    }
    case 'servers': {
      const all = await Array.fromAsync(pages(connection, AdminServiceService.listUpstreamServers, { targetGroup }));
      return all.flatMap(({ servers }) => servers).flatMap(({ server }) => (server === undefined ? [] : [server.address]));
    }
  }
}

/** Why connections were refused, or ended, since the start. */
async function reasonsSoFar(connection: Connection): Promise<readonly string[]> {
  const once = { interval: undefined, targetGroup: '', server: '', clientId: '' };
  for await (const { byReason } of connection.serverStream(AdminServiceService.watchStats, once)) {
    return byReason.filter(({ count }) => count > 0n).map(({ reason }) => reason);
  }
  return [];
}

/** Of `--flag value` or `--flag=value`, the last one. */
function valueAfter(typed: readonly string[], flag: string): string | undefined {
  const joined = typed.findLast((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1);
  const at = typed.lastIndexOf(flag);
  return joined ?? (at === -1 ? undefined : typed[at + 1]);
}
