/** Who changed what, and who was refused. */
import type { Command } from 'commander';
import { AdminServiceService, type AuditEntry } from '../../src/gen/lb/admin/v1/admin.ts';
import type { Io } from '../io.ts';
import { pages } from '../paging.ts';
import { type Paint, table } from '../render.ts';
import { count, name, type TimePoint, timePoint, toDate } from '../values.ts';
import { example, warn, withSession } from './session.ts';

interface AuditOptions {
  readonly since?: TimePoint;
  readonly until?: TimePoint;
  readonly actor?: string;
  readonly method?: string;
  readonly limit: number;
}

const DEFAULT_LIMIT = 100;
const LARGEST_PAGE = 1_000;
/** A request in a table; `--output json` has all of it. */
const REQUEST_WIDTH = 80;

export function addAuditCommand(program: Command, io: Io): void {
  const command = program
    .command('audit')
    .description('who changed what, and who was refused, newest first')
    .option('--since <when>', 'not before: a duration ago such as 1h, or a time such as 2030-01-31T12:00:00Z', timePoint)
    .option('--until <when>', 'not after, in the same way', timePoint)
    .option('--actor <name>', 'by this one only, the name in the admin certificate', name)
    .option('--method <method>', 'of this RPC only, for example AddClient', name)
    .option('--limit <n>', 'at most so many', count(1), DEFAULT_LIMIT);
  command.action(async ({ since, until, actor = '', method = '', limit }: AuditOptions) => {
    const query = { since: toDate(since, io.nowMs()), until: toDate(until, io.nowMs()), actor, method };
    await withSession(io, command, async ({ connection, printer }) => {
      const entries: AuditEntry[] = [];
      for await (const page of pages(connection, AdminServiceService.listAuditEntries, query, Math.min(limit, LARGEST_PAGE))) {
        entries.push(...page.entries);
        if (entries.length >= limit) break;
      }
      const shown = entries.slice(0, limit);
      if (shown.length === 0 && actor !== '') warn(io, [`no entry by "${actor}"; an actor is the name in an admin certificate`]);
      printer.block({ entries: shown }, auditTable(shown, printer.paint));
    });
  });
  example(command, 'audit --since 1h', 'audit --actor operator --method AddUpstreamServer --limit 10 --output json');
}

function auditTable(entries: readonly AuditEntry[], paint: Paint): string {
  if (entries.length === 0) return 'no audit entries';
  return table(
    ['AT', 'ACTOR', 'FROM', 'METHOD', 'RESULT', 'REVISION', 'REQUEST'],
    entries.map((entry) => [
      entry.at?.toISOString() ?? '',
      entry.actor,
      entry.from,
      entry.method,
      entry.result === 'OK' ? { text: entry.result, tone: 'good' } : { text: `${entry.result}: ${entry.message}`, tone: 'bad' },
      entry.revisionBefore === entry.revisionAfter ? String(entry.revisionAfter) : `${entry.revisionBefore} -> ${entry.revisionAfter}`,
      entry.request.length > REQUEST_WIDTH ? `${entry.request.slice(0, REQUEST_WIDTH)}...` : entry.request,
    ]),
    paint,
  );
}
