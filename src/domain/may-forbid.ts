import type { Command } from './state.ts';

const MAY_FORBID: ReadonlySet<Command['kind']> = new Set([
  'replaceAll',
  'replaceSome',
  'updateClient',
  'removeClient',
  'revokeCertificate',
]);

/** Whether a connection may be one that is not allowed any more after the change: who makes it has these ended, and is told how many. */
export function mayForbid({ kind }: Command): boolean {
  return MAY_FORBID.has(kind);
}
