/** The rows of changes and snapshots in the state file, each with its checksum. */
import { crc32 } from 'node:zlib';
import type { Snapshot } from '../../domain/model.ts';
import { apply } from '../../domain/state.ts';
import { inTurns } from '../turns.ts';
import { decodeCommand, decodeSnapshot, encodeCommand, snapshotParts } from './codec.ts';
import { DecodeError, object, text, whole } from './decode.ts';
import { changedAtRunTimeAfter, type StoredChange } from './store.ts';

/** A row of the log of changes; the flag says whether the state counted as changed at run time once this change was made. */
export interface ChangeRow {
  readonly revision: number;
  readonly command: string;
  readonly actor: string;
  readonly at_ms: number;
  readonly request_id: string;
  readonly changed_at_run_time: number;
  readonly crc32: number;
  readonly request_digest: string;
}

export interface SnapshotRow {
  readonly revision: number;
  readonly json: string;
  readonly crc32: number;
}

const changeRow = object<ChangeRow>({
  revision: whole,
  command: text,
  actor: text,
  at_ms: whole,
  request_id: text,
  changed_at_run_time: whole,
  crc32: whole,
  request_digest: text,
});
const snapshotRow = object<SnapshotRow>({ revision: whole, json: text, crc32: whole });

export function changeRowOf(change: StoredChange, changedBefore: boolean): ChangeRow {
  const { revision, command, actor, atMs, requestId, requestDigest } = change;
  // SQLite keeps UTF-8: a lone surrogate would come back as another character, and the checksum would not match.
  const row = {
    revision,
    command: encodeCommand(command),
    actor: actor.toWellFormed(),
    at_ms: atMs,
    request_id: requestId.toWellFormed(),
    changed_at_run_time: changedAtRunTimeAfter(changedBefore, { actor, command }) ? 1 : 0,
    request_digest: requestDigest,
  };
  return { ...row, crc32: changeCrc(row) };
}

export function changeOf({ revision, command, actor, at_ms, request_id, request_digest }: ChangeRow): StoredChange {
  return { revision, command: decodeCommand(command), actor, atMs: at_ms, requestId: request_id, requestDigest: request_digest };
}

/** @throws DecodeError when it is not as it was written. */
export function readChange(row: unknown): ChangeRow {
  const change = changeRow(row, 'changes');
  if (changeCrc(change) !== change.crc32) throw new DecodeError(`revision ${change.revision}`, 'its checksum to match');
  return change;
}

/** Made a part each turn of the event loop. */
export async function snapshotRowOf(snapshot: Snapshot): Promise<SnapshotRow> {
  const json = (await Array.fromAsync(inTurns(snapshotParts(snapshot)))).join('');
  return { revision: snapshot.revision, json, crc32: snapshotCrc(snapshot.revision, json) };
}

/** @throws DecodeError when it is not as it was written. */
export function readSnapshotRow(row: unknown): SnapshotRow {
  const snapshot = snapshotRow(row, 'snapshots');
  if (snapshotCrc(snapshot.revision, snapshot.json) !== snapshot.crc32)
    throw new DecodeError(`snapshot ${snapshot.revision}`, 'its checksum to match');
  return snapshot;
}

/** @throws DecodeError when it is not as it was written. */
export function readSnapshot(row: unknown): Snapshot {
  return decodeSnapshot(readSnapshotRow(row).json);
}

/** The state after the change. @throws DecodeError when it does not fit the state before. */
export function replay(snapshot: Snapshot, row: ChangeRow): Snapshot {
  const { command } = changeOf(row);
  try {
    return apply(snapshot, command);
  } catch (error) {
    throw new DecodeError(`revision ${row.revision}`, 'a change that fits the state before it', { cause: error });
  }
}

function changeCrc(row: Omit<ChangeRow, 'crc32'>): number {
  const { revision, command, actor, at_ms, request_id, changed_at_run_time, request_digest } = row;
  const fields = [revision, command, actor, at_ms, request_id, changed_at_run_time];
  // A row without a digest has the checksum that version 1 of the layout gave it.
  return crc32(JSON.stringify(request_digest === '' ? fields : [...fields, request_digest]));
}

function snapshotCrc(revision: number, json: string): number {
  return crc32(`${revision} ${json}`);
}
