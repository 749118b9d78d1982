/** Long lists page by page. A page token says after which entry to go on, so entries that come and go move no page. */
import { DomainError } from '../domain/errors.ts';

/** What of a list a request asks for. */
export interface PageWanted {
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Empty: this is the last page. */
  readonly nextPageToken: string;
}

/** The key after which the page begins; undefined: at the beginning. `list` is the list's name. @throws DomainError `invalid` */
function keyOf(list: string, token: string): string | undefined {
  if (token === '') return undefined;
  const parts = Buffer.from(token, 'base64url').toString().split('\n');
  const [of, key] = parts;
  if (of !== list || key === undefined || parts.length !== 2 || tokenFor(list, key) !== token)
    throw new DomainError('invalid', 'pageToken', 'this is no page token of this list; leave it out to begin anew');
  return key;
}

function tokenFor(list: string, key: string): string {
  return Buffer.from(`${list}\n${key}`).toString('base64url');
}

/** A page of a list that is in the order of its keys. @throws DomainError `invalid` */
export function pageOf<T>(list: string, items: readonly T[], key: (item: T) => string, { pageSize, pageToken }: PageWanted): Page<T> {
  const after = keyOf(list, pageToken);
  const begin = after === undefined ? 0 : firstAfter(items, key, after);
  const end = pageSize === 0 ? items.length : begin + pageSize;
  const page = items.slice(begin, end);
  const last = page.at(-1);
  return { items: page, nextPageToken: end < items.length && last !== undefined ? tokenFor(list, key(last)) : '' };
}

/** The page of a list that its source gives in parts: `page` was asked for one more than `limit`. */
export function pageFrom<T>(list: string, page: readonly T[], limit: number, key: (item: T) => string): Page<T> {
  const items = page.slice(0, limit);
  const last = items.at(-1);
  return { items, nextPageToken: page.length > limit && last !== undefined ? tokenFor(list, key(last)) : '' };
}

/** The key as a number, for lists that are in the order of one. @throws DomainError `invalid` */
export function numberOf(list: string, token: string): number | undefined {
  const key = keyOf(list, token);
  if (key === undefined) return undefined;
  if (!/^\d{1,15}$/.test(key))
    throw new DomainError('invalid', 'pageToken', 'this is no page token of this list; leave it out to begin anew');
  return Number(key);
}

/** Binary search: a page costs the same wherever it begins. */
function firstAfter<T>(items: readonly T[], key: (item: T) => string, after: string): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && key(item) <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
