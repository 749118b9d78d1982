/** Lists that come in pages. */
import type { Connection, Method } from './connection.ts';
import { CliError, EXIT } from './errors.ts';

/** What lbctl asks for at a time: small enough that the server is not held up. */
export const PAGE_SIZE = 1_000;

interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Every page from the first to the last. Throws a CliError, also when the server comes back to the page it has just sent. */
export async function* pages<Request extends object, Response extends { readonly nextPageToken: string }>(
  connection: Pick<Connection, 'unary'>,
  method: Method<Request & PageRequest, Response>,
  request: Request,
  pageSize = PAGE_SIZE,
): AsyncGenerator<Response, void, undefined> {
  let pageToken = '';
  for (;;) {
    const page = await connection.unary(method, { ...request, pageSize, pageToken });
    yield page;
    if (page.nextPageToken === '') return;
    if (page.nextPageToken === pageToken) throw new CliError(EXIT.refused, 'the server gives the same page again and again; report it');
    pageToken = page.nextPageToken;
  }
}
