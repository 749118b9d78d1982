/** ListAuditEntries: who tried what, newest first. */
import type { AuditEntry } from '../controlplane/store/store.ts';
import { DomainError } from '../domain/errors.ts';
import type * as proto from '../gen/lb/admin/v1/admin.ts';
import type { AdminContext } from './context.ts';
import { numbersOf, pageFrom } from './paging.ts';
import { NEEDED_ROLE } from './roles.ts';
import { unary } from './rpc.ts';

const LIST = 'audit';
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;

export function auditMethods({ authority, log }: AdminContext): Pick<proto.AdminServiceServer, 'listAuditEntries'> {
  return {
    listAuditEntries: unary(log, async ({ since, until, actor, method: asked, pageSize, pageToken }) => {
      const method = withoutService(asked);
      refuseUnknown(method);
      const limit = pageSize === 0 ? DEFAULT_PAGE : Math.min(pageSize, MAX_PAGE);
      const [atMs, id] = numbersOf(LIST, pageToken, 2) ?? [];
      const found = await authority.archive.auditEntries({
        sinceMs: since?.getTime(),
        untilMs: until?.getTime(),
        actor: actor === '' ? undefined : actor,
        method: method === '' ? undefined : method,
        before: atMs === undefined || id === undefined ? undefined : { atMs, id },
        limit: limit + 1,
      });
      const { items, nextPageToken } = pageFrom(LIST, found, limit, ({ atMs, id }) => `${atMs} ${id}`);
      return { entries: items.map(entryMessage), nextPageToken };
    }),
  };
}

/** `AddClient` for `lb.admin.v1.AdminService/AddClient`, with a dot for the slash or a slash before it. */
function withoutService(method: string): string {
  const path = `/${method.replace(/^\//, '').replace(/\.(\w+)$/, '/$1')}`;
  return NEEDED_ROLE.has(path) ? path.slice(path.lastIndexOf('/') + 1) : method;
}

/** @throws DomainError `not_found` */
function refuseUnknown(method: string): void {
  if (method === '' || METHODS.has(method)) return;
  const alike = [...METHODS].find((each) => each.toLowerCase() === method.toLowerCase());
  throw new DomainError('not_found', 'method', `there is no method "${method}"${alike === undefined ? '' : `; did you mean ${alike}?`}`);
}

/** Without their services, as the audit trail has them. */
const METHODS: ReadonlySet<string> = new Set([...NEEDED_ROLE.keys()].map((path) => path.slice(path.lastIndexOf('/') + 1)));

function entryMessage({ id, atMs, revisionBefore, revisionAfter, ...same }: AuditEntry): proto.AuditEntry {
  return {
    ...same,
    id: BigInt(id),
    at: new Date(atMs),
    revisionBefore: BigInt(revisionBefore),
    revisionAfter: BigInt(revisionAfter),
  };
}
