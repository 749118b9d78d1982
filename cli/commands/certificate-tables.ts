/** How `lbctl certificates` shows what is served, what certificates are held against, and when that ends. */
import type { ListCertificatesResponse, RevocationList, RevokedCertificate, ServedCertificate } from '../../src/gen/lb/admin/v1/admin.ts';
import { formatAge } from '../durations.ts';
import { type Cell, type Paint, table } from '../render.ts';

/** A certificate with less than this left is shown in yellow. */
const SOON_MS = 30 * 86_400_000;
/** Lists are often made for a week: with less than this left, lbd warns of one too. */
const LIST_SOON_MS = 86_400_000;

/** One table below the other; that of revocation lists only where there are any. */
export function certificateTables(
  { certificates, revocationLists, revoked }: ListCertificatesResponse,
  nowMs: number,
  paint: Paint,
): string {
  const lists = revocationLists.length === 0 ? [] : [listTable(revocationLists, nowMs, paint)];
  return [servedTable(certificates, nowMs, paint), ...lists, revokedTable(revoked, paint)].join('\n\n');
}

function servedTable(certificates: readonly ServedCertificate[], nowMs: number, paint: Paint): string {
  if (certificates.length === 0) return 'no certificates are served';
  // Few have one, and the lines are long.
  const areStapled = certificates.some(({ ocsp }) => ocsp !== undefined);
  return table(
    ['USED BY', 'SUBJECT', 'ISSUER', 'EXPIRES', ...(areStapled ? ['OCSP'] : []), 'FILE', 'FINGERPRINT'],
    certificates.map(({ usedBy, subject, issuer, notAfter, ocsp, file, fingerprint }) => [
      usedBy,
      subject.replaceAll('\n', ', '),
      issuer.replaceAll('\n', ', '),
      expiryCell(notAfter, nowMs),
      ...(areStapled ? [stapleCell(ocsp)] : []),
      file,
      fingerprint,
    ]),
    paint,
  );
}

function expiryCell(notAfter: Date | undefined, nowMs: number): Cell {
  if (notAfter === undefined) return '';
  const leftMs = notAfter.getTime() - nowMs;
  const date = notAfter.toISOString().slice(0, 10);
  if (leftMs <= 0) return { text: `${date} (expired)`, tone: 'bad' };
  return { text: `${date} (in ${formatAge(leftMs)})`, tone: leftMs < SOON_MS ? 'unsure' : 'good' };
}

function listTable(lists: readonly RevocationList[], nowMs: number, paint: Paint): string {
  return table(
    ['USED BY', 'REVOCATION LIST OF', 'MADE', 'ENDS', 'ENTRIES', 'FILE'],
    lists.map(({ usedBy, issuer, thisUpdate, nextUpdate, superseded, entries, file }) => [
      usedBy,
      issuer,
      madeCell(thisUpdate, nowMs),
      nextUpdate === undefined ? 'never' : endCell(nextUpdate, superseded, nowMs),
      String(entries),
      file,
    ]),
    paint,
  );
}

function madeCell(thisUpdate: Date | undefined, nowMs: number): Cell {
  if (thisUpdate === undefined) return '';
  return thisUpdate.getTime() <= nowMs ? minute(thisUpdate) : { text: `${minute(thisUpdate)} (does not count yet)`, tone: 'unsure' };
}

function endCell(nextUpdate: Date, superseded: boolean, nowMs: number): Cell {
  const leftMs = nextUpdate.getTime() - nowMs;
  if (leftMs <= 0 && superseded) return `${minute(nextUpdate)} (ended: superseded by another list of that CA)`;
  if (leftMs <= 0) return { text: `${minute(nextUpdate)} (ended: everybody of that CA is refused)`, tone: 'bad' };
  return { text: `${minute(nextUpdate)} (in ${formatAge(leftMs)})`, tone: leftMs < LIST_SOON_MS && !superseded ? 'unsure' : 'good' };
}

function stapleCell(ocsp: ServedCertificate['ocsp']): Cell {
  if (ocsp === undefined) return '';
  const until = ocsp.nextUpdate === undefined ? '' : ` until ${minute(ocsp.nextUpdate)}`;
  return ocsp.stapled ? { text: `stapled${until}`, tone: 'good' } : { text: `ended${until.replace('until', 'at')}`, tone: 'bad' };
}

function minute(date: Date): string {
  return `${date.toISOString().slice(0, 16)}Z`;
}

function revokedTable(revoked: readonly RevokedCertificate[], paint: Paint): string {
  if (revoked.length === 0) return 'no certificates are revoked';
  return table(
    ['REVOKED', 'AT', 'COMMENT'],
    revoked.map(({ fingerprint, revokedAt, comment }) => [fingerprint, revokedAt?.toISOString() ?? '', comment]),
    paint,
  );
}
