/** What two states differ in, and whom a change touches, as text for people. */
import { type BlastRadius, type Difference, Difference_Kind as Kind } from '../src/gen/lb/admin/v1/admin.ts';
import { type Paint, safeText, type Tone } from './render.ts';

const SIGN: Readonly<Partial<Record<Kind, { readonly sign: string; readonly tone: Tone }>>> = {
  [Kind.ADDED]: { sign: '+', tone: 'good' },
  [Kind.REMOVED]: { sign: '-', tone: 'bad' },
  [Kind.CHANGED]: { sign: '~', tone: 'unsure' },
};

/** A line or more for each difference: `+` added, `-` removed, `~` changed. */
export function differencesText(differences: readonly Difference[], paint: Paint): string {
  return differences.map((difference) => differenceText(difference, paint)).join('\n');
}

function differenceText({ kind, path, before, after }: Difference, paint: Paint): string {
  const { sign, tone } = SIGN[kind] ?? { sign: '?', tone: 'unsure' };
  const head = `${sign} ${safeText(path)}`;
  if (kind !== Kind.CHANGED) {
    const lines = leaves(kind === Kind.REMOVED ? before : after).map(({ name, value }) =>
      name === '' ? `= ${value}` : `${name}: ${value}`,
    );
    return withDetails(paint(head, tone), lines);
  }
  const was = leaves(before);
  const is = leaves(after);
  const names = [...new Set([...was, ...is].map(({ name }) => name))];
  const value = (of: readonly Leaf[], name: string) => of.find((leaf) => leaf.name === name)?.value ?? '(nothing)';
  const changed = names.filter((name) => value(was, name) !== value(is, name));
  const lines = changed.map((name) => `${name === '' ? '' : `${name}: `}${value(was, name)} -> ${value(is, name)}`);
  return withDetails(paint(head, tone), lines);
}

/** One detail goes on the line itself. */
function withDetails(head: string, details: readonly string[]): string {
  if (details.length <= 1) return [head, ...details].join('  ');
  return [head, ...details.map((detail) => `    ${detail}`)].join('\n');
}

interface Leaf {
  /** With a dot between the names of the objects around it; empty when the whole is one value. */
  readonly name: string;
  readonly value: string;
}

function leaves(json: string): readonly Leaf[] {
  if (json === '') return [];
  try {
    return leavesOf(JSON.parse(json), '');
  } catch {
    return [{ name: '', value: safeText(json) }];
  }
}

function leavesOf(value: unknown, name: string): readonly Leaf[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, name === '' ? key : `${name}.${key}`));
  }
  return [{ name: safeText(name), value: safeText(typeof value === 'string' ? value : JSON.stringify(value)) }];
}

/** Whom the change would touch: live connections and what clients would lose; one line when it is nobody. */
export function blastRadiusText(radius: BlastRadius | undefined): string {
  const { connectionsDraining = 0n, connectionsClosing = 0n, waitingRefused = 0n, lostAccess = [], revoked = [] } = radius ?? {};
  if (connectionsDraining === 0n && connectionsClosing === 0n && lostAccess.length === 0)
    return 'Blast radius: no connection and no client';
  const lines = lostAccess.map(({ clientId, targetGroup, connections }) =>
    safeText(`  ${clientId} ${targetGroup === '' ? 'is removed' : `loses ${targetGroup}`} (${plural(connections, 'live connection')})`),
  );
  const certificates = revoked.map(({ fingerprint, clientId, connections }) =>
    safeText(
      `  ${clientId} loses its certificate ${fingerprint.slice(0, 16)}..., which is revoked (${plural(connections, 'live connection')})`,
    ),
  );
  const head = `Blast radius: ${plural(connectionsClosing, 'connection')} would close${waitingRefused === 0n ? '' : ` (${waitingRefused} waiting)`}${goingOn(connectionsDraining)}`;
  return [head, ...lines, ...certificates].join('\n');
}

/** What plan and apply say of the connections that nobody ends: `, 3 connections to removed servers or listeners go on until they end`. */
export function goingOn(connections: bigint): string {
  if (connections === 0n) return '';
  return `, ${plural(connections, 'connection')} to removed servers or listeners ${connections === 1n ? 'goes on until it ends' : 'go on until they end'}`;
}

/** What takes effect only when lbd starts again; empty when it is nothing. */
export function restartText(needsRestart: readonly string[]): string {
  if (needsRestart.length === 0) return '';
  return ['Takes effect only when lbd starts with this file:', ...needsRestart.map((what) => `  ${safeText(what)}`)].join('\n');
}

const plural = (amount: bigint, what: string) => `${amount} ${what}${amount === 1n ? '' : 's'}`;
