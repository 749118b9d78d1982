/** The audit trail in the state file. It is no part of the state: nothing is decided by it. */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { object, text, whole } from './decode.ts';
import type { AuditEntry, AuditQuery, AuditRecord } from './store.ts';

interface AuditRow {
  readonly id: number;
  readonly at_ms: number;
  readonly actor: string;
  readonly fingerprint: string;
  readonly origin: string;
  readonly method: string;
  readonly request: string;
  readonly result: string;
  readonly message: string;
  readonly revision_before: number;
  readonly revision_after: number;
}

const auditRow = object<AuditRow>({
  id: whole,
  at_ms: whole,
  actor: text,
  fingerprint: text,
  origin: text,
  method: text,
  request: text,
  result: text,
  message: text,
  revision_before: whole,
  revision_after: whole,
});

const COLUMNS = 'at_ms, actor, fingerprint, origin, method, request, result, message, revision_before, revision_after';

/**
 * What the trail is searched by. Read by nobody but SQLite, so it comes into files of every version of the layout, and an lbd that does not
 * know it goes on with them.
 */
export const AUDIT_INDEXES = `
  DROP INDEX IF EXISTS audit_by_actor;
  DROP INDEX IF EXISTS audit_by_method;
  CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at_ms);
  CREATE INDEX IF NOT EXISTS audit_by_actor_and_time ON audit (actor, at_ms);
  CREATE INDEX IF NOT EXISTS audit_by_method_and_time ON audit (method, at_ms);
`;

/** Appends, and drops what is older than the newest `kept`; to be called within a transaction. */
export function insertAudit(database: DatabaseSync, records: readonly AuditRecord[], kept: number): void {
  const insert = database.prepare(`INSERT INTO audit (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  let newest = 0;
  for (const { atMs, actor, fingerprint, from, method, request, result, message, revisionBefore, revisionAfter } of records) {
    const texts = [actor, fingerprint, from, method, request, result, message].map((each) => each.toWellFormed());
    newest = Number(insert.run(atMs, ...texts, revisionBefore, revisionAfter).lastInsertRowid);
  }
  database.prepare('DELETE FROM audit WHERE id <= ?').run(newest - kept);
}

/** Newest first, by time and then by id. */
export function selectAudit(database: DatabaseSync, { sinceMs, untilMs, actor, method, before, limit }: AuditQuery): readonly AuditEntry[] {
  const conditions: readonly (readonly [sql: string, ...values: readonly (SQLInputValue | undefined)[]])[] = [
    ['(at_ms, id) < (?, ?)', before?.atMs, before?.id],
    ['at_ms >= ?', sinceMs],
    ['at_ms < ?', untilMs],
    ['actor = ?', actor],
    ['method = ?', method],
  ];
  const given = conditions.flatMap(([sql, ...values]) => {
    const known = values.filter((value) => value !== undefined);
    return known.length === 0 ? [] : [{ sql, values: known }];
  });
  const where = given.length === 0 ? '' : `WHERE ${given.map(({ sql }) => sql).join(' AND ')}`;
  return database
    .prepare(`SELECT id, ${COLUMNS} FROM audit ${where} ORDER BY at_ms DESC, id DESC LIMIT ?`)
    .all(...given.flatMap(({ values }) => values), limit)
    .map((row) => entryOf(auditRow(row, 'audit')));
}

/** Takes back what the trail says of a change that was not made after all. */
export function deleteAuditOf(database: DatabaseSync, revision: number): void {
  database.prepare('DELETE FROM audit WHERE revision_after = ? AND revision_before < revision_after').run(revision);
}

function entryOf({ at_ms, origin, revision_before, revision_after, ...same }: AuditRow): AuditEntry {
  return { ...same, atMs: at_ms, from: origin, revisionBefore: revision_before, revisionAfter: revision_after };
}
