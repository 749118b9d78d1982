/** What comes in parts, lists in pages above all, put together. */
import type { WatchStatsResponse } from '../src/gen/lb/admin/v1/admin.ts';
import type { Connection, Method } from './connection.ts';
import { CliError, EXIT } from './errors.ts';

/** What lbctl asks for at a time; the server gives fewer where so many would hold it up. */
export const PAGE_SIZE = 1_000;

interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

interface Page {
  readonly nextPageToken: string;
}

/** Every page from the first to the last. Throws a CliError, also when the server comes back to the page it has just sent. */
export async function* pages<Request extends object, Response extends Page>(
  connection: Pick<Connection, 'unary'>,
  method: Method<Request & PageRequest, Response>,
  request: Request,
  pageSize = PAGE_SIZE,
): AsyncGenerator<Response, void, undefined> {
  const first = await connection.unary(method, { ...request, pageSize, pageToken: '' });
  yield first;
  yield* pagesAfter(connection, method, request, first.nextPageToken, pageSize);
}

/** The pages that a page token begins, which may be empty: then there are none. Throws as {@link pages} does. */
export async function* pagesAfter<Request extends object, Response extends Page>(
  connection: Pick<Connection, 'unary'>,
  method: Method<Request & PageRequest, Response>,
  request: Request,
  firstToken: string,
  pageSize = PAGE_SIZE,
): AsyncGenerator<Response, void, undefined> {
  let pageToken = firstToken;
  while (pageToken !== '') {
    const page = await connection.unary(method, { ...request, pageSize, pageToken });
    yield page;
    if (page.nextPageToken === pageToken) throw new CliError(EXIT.refused, 'the server gives the same page again and again; report it');
    pageToken = page.nextPageToken;
  }
}

/** The counters of one moment in one message each, as if the server had not divided them. */
export async function* wholeStats(messages: AsyncIterable<WatchStatsResponse>): AsyncGenerator<WatchStatsResponse, void, undefined> {
  let begun: WatchStatsResponse | undefined;
  for await (const message of messages) {
    if (begun === undefined) begun = message;
    else {
      begun.servers.push(...message.servers);
      begun.clients.push(...message.clients);
      begun.groups.push(...message.groups);
    }
    if (message.more) continue;
    yield { ...begun, more: false };
    begun = undefined;
  }
}
