/** What the state file remembers beside state and audit trail: requests that had nothing to change, and who has administered. */
import type { DatabaseSync } from 'node:sqlite';
import { object, text, whole } from './decode.ts';
import { ADMINISTRATORS_KEPT, type KnownAdministrator, type StoredRequest } from './store.ts';

const requestRow = object<{ revision: number; request_digest: string }>({ revision: whole, request_digest: text });

const administratorRow = object<{ fingerprint: string; certificate: string; seen_at_ms: number }>({
  fingerprint: text,
  certificate: text,
  seen_at_ms: whole,
});

/** Appends, and drops what is older than the newest `kept`; to be called within a transaction. */
export function insertUnchanged(database: DatabaseSync, requestId: string, { revision, digest }: StoredRequest, kept: number): void {
  const insert = database.prepare('INSERT INTO unchanged (request_id, revision, request_digest) VALUES (?, ?, ?)');
  const { lastInsertRowid } = insert.run(requestId.toWellFormed(), revision, digest);
  database.prepare('DELETE FROM unchanged WHERE id <= ?').run(Number(lastInsertRowid) - kept);
}

/** What a request id stands for, whether it made a revision or had nothing to change. */
export function selectRequest(database: DatabaseSync, requestId: string): StoredRequest | undefined {
  const columns = 'revision, request_digest';
  const found = database
    .prepare(`SELECT ${columns} FROM changes WHERE request_id = ?1 UNION ALL SELECT ${columns} FROM unchanged WHERE request_id = ?1`)
    .get(requestId);
  if (found === undefined) return undefined;
  const { revision, request_digest: digest } = requestRow(found, 'requests');
  return { revision, digest };
}

/** In the place of what was known of them; to be called within a transaction. */
export function insertAdministrators(database: DatabaseSync, seen: readonly KnownAdministrator[]): void {
  const insert = database.prepare('INSERT OR REPLACE INTO administrators (fingerprint, certificate, seen_at_ms) VALUES (?, ?, ?)');
  for (const { fingerprint, certificate, seenAtMs } of seen) insert.run(fingerprint, certificate, seenAtMs);
  const newest = 'SELECT fingerprint FROM administrators ORDER BY seen_at_ms DESC LIMIT ?';
  database.prepare(`DELETE FROM administrators WHERE fingerprint NOT IN (${newest})`).run(ADMINISTRATORS_KEPT);
}

/** Those who called last come first. */
export function selectAdministrators(database: DatabaseSync): readonly KnownAdministrator[] {
  return database
    .prepare('SELECT fingerprint, certificate, seen_at_ms FROM administrators ORDER BY seen_at_ms DESC')
    .all()
    .map((row) => {
      const { seen_at_ms: seenAtMs, ...same } = administratorRow(row, 'administrators');
      return { ...same, seenAtMs };
    });
}
