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

/** How many entries a page has at most: what is more would hold up others while it is put together. */
const MAX_PAGE = 500;

/** What a request gets that asks for `pageSize` entries; 0: it does not say. */
export function limitOf({ pageSize }: Pick<PageWanted, 'pageSize'>): number {
  return pageSize === 0 ? MAX_PAGE : Math.min(pageSize, MAX_PAGE);
}

/**
 * A page of a list that is in the order of its keys; `after` gives its entries after a key, or all. With `sizeOf` a page is full
 * too when the sizes of its entries come to a whole page's number of entries, but never without one. @throws DomainError `invalid`
 */
export function pageOf<T>(
  list: string,
  after: (key?: string) => Iterable<T>,
  key: (item: T) => string,
  wanted: PageWanted,
  sizeOf: (item: T) => number = () => 1,
): Page<T> {
  const limit = limitOf(wanted);
  const items: T[] = [];
  let size = 0;
  for (const item of after(keyOf(list, wanted.pageToken))) {
    size += sizeOf(item);
    const last = items.at(-1);
    if (last !== undefined && (items.length === limit || size > MAX_PAGE)) return { items, nextPageToken: tokenFor(list, key(last)) };
    items.push(item);
  }
  return { items, nextPageToken: '' };
}

/** The page of a list that its source gives in parts: `page` was asked for one more than `limit`. */
export function pageFrom<T>(list: string, page: readonly T[], limit: number, key: (item: T) => string): Page<T> {
  const items = page.slice(0, limit);
  const last = items.at(-1);
  return { items, nextPageToken: page.length > limit && last !== undefined ? tokenFor(list, key(last)) : '' };
}

/** The key as a number, for lists that are in the order of one. @throws DomainError `invalid` */
export function numberOf(list: string, token: string): number | undefined {
  return numbersOf(list, token, 1)?.[0];
}

/** The key as so many numbers with spaces between, for lists that are in the order of several. @throws DomainError `invalid` */
export function numbersOf(list: string, token: string, count: number): readonly number[] | undefined {
  const numbers = keyOf(list, token)?.split(' ');
  if (numbers === undefined) return undefined;
  if (numbers.length !== count || !numbers.every((each) => /^\d{1,15}$/.test(each)))
    throw new DomainError('invalid', 'pageToken', 'this is no page token of this list; leave it out to begin anew');
  return numbers.map(Number);
}
