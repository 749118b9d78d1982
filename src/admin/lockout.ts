/** What an administrator may not do to himself, to another one, or to two clients at once: shut a certificate out by mistake. */
import { status as Code } from '@grpc/grpc-js';
import type { Planned } from '../controlplane/planner.ts';
import { checkClientValues } from '../domain/checks.ts';
import { ClientIndex, type Identity, isClient } from '../domain/identity.ts';
import type { Client, IdentityMatch, Snapshot } from '../domain/model.ts';
import { isNetworkAlone, isSameMatch, type Overlap, overlapsOf, takesInAll, unitAlone } from '../domain/overlap.ts';
import { goesBy, revocationOf } from '../domain/revocations.ts';
import { ROLES, type Role, type RoleRules } from '../domain/roles.ts';
import type { Caller } from './caller.ts';
import { AdminError } from './errors.ts';
import type { KnownAdministrators } from './known-administrators.ts';

const MAX_WARNINGS = 20;

/** Looks at clients and revocations before they become the state. */
export class LockoutGuard {
  readonly #rules: readonly { readonly role: Role; readonly match: IdentityMatch }[];
  readonly #administrators: Pick<KnownAdministrators, 'present'>;

  constructor(roles: RoleRules, administrators: Pick<KnownAdministrators, 'present'>) {
    this.#administrators = administrators;
    this.#rules = ROLES.toReversed().flatMap((role) => roles[role].map((match) => ({ role, match })));
  }

  /**
   * What may not be meant of a client that is to be added, or to become this.
   * @throws DomainError `invalid` when it is malformed, AdminError `ADMIN_LOCKOUT` when it takes an administrator's certificate, `CLIENT_OVERLAP` when it and another client cannot be told apart
   */
  checkClient(client: Client, current: Snapshot, caller: Caller): readonly string[] {
    if (isSameMatch(current.clients.get(client.clientId), client)) return [];
    checkClientValues(client);
    this.#refuseLockout([client], current, caller);
    const overlaps = overlapsOf(client, current.clients.values());
    const always = overlaps.find((overlap) => overlap.always);
    if (always !== undefined) {
      const problem = sameForAll(always, client, 'would be');
      throw new AdminError(Code.FAILED_PRECONDITION, 'CLIENT_OVERLAP', `${problem}; give "${client.clientId}" another match`);
    }
    return bounded([...overlaps.map((overlap) => overlapWarning(overlap, client)), ...this.#doubts(client, [...current.clients.values()])]);
  }

  /**
   * The same for what a plan puts into the state. Two clients that cannot be told apart are a warning here: the check of a configuration
   * refuses them, and a revision that had them can be gone back to.
   * @throws AdminError `ADMIN_LOCKOUT`
   */
  checkPlan({ command, overlaps }: Pick<Planned, 'command' | 'overlaps'>, current: Snapshot, caller: Caller): readonly string[] {
    const changed = command.clients.put.filter((client) => !isSameMatch(current.clients.get(client.clientId), client));
    this.#refuseLockout(changed, current, caller);
    for (const { fingerprint } of command.revocations) this.refuseOwnCertificate(fingerprint, caller);
    const clientOf = ({ narrow }: Overlap) =>
      command.clients.put.find(({ clientId }) => clientId === narrow) ?? current.clients.get(narrow);
    return bounded([
      ...overlaps.map((overlap) => overlapWarning(overlap, clientOf(overlap))),
      ...changed.flatMap((client) => this.#doubts(client, [])),
    ]);
  }

  /** For a revocation by one who has not said that he means himself. @throws AdminError `ADMIN_LOCKOUT` */
  refuseOwnCertificate(fingerprint: string, caller: Caller): void {
    if (caller.identity === undefined || !goesBy(fingerprint, caller.identity)) return;
    const problem = `this is your own certificate "${caller.name}", which would open nothing any more, and a revocation is never taken back`;
    throw lockout(`${problem}; let another administrator do it, or set allow_self (lbctl revoke --yes-lock-me-out)`);
  }

  #refuseLockout(clients: readonly Client[], current: Snapshot, { identity, name }: Caller): void {
    const index = new ClientIndex(clients);
    const takerOf = (administrator: Identity) =>
      index.find(administrator) === 'unknown'
        ? undefined
        : clients.find((client) => isClient(client, { identity: administrator, source: undefined }));
    const own = identity && takerOf(identity);
    if (own !== undefined) throw lockout(taken(own, `your own certificate "${name}"`));
    for (const { identity: administrator, name: other } of this.#administrators.present()) {
      const taker = revocationOf(administrator, current) !== undefined ? undefined : takerOf(administrator);
      if (taker !== undefined) throw lockout(taken(taker, `the certificate "${other}" of another administrator`));
    }
    for (const { role, match } of this.#rules) {
      const taker = clients.find((client) => takesInAll(client, match));
      if (taker !== undefined) throw lockout(taken(taker, `every certificate with ${asText(match)}, the role ${role} by admin.roles`));
    }
  }

  /** What no single certificate shows. */
  #doubts(client: Client, others: readonly Client[]): readonly string[] {
    const rule = this.#rules.find(({ match }) => takesInAll({ clientId: '', match }, client.match));
    const withRole =
      rule === undefined
        ? []
        : [
            `each certificate of client "${client.clientId}" has the role ${rule.role} by ${asText(rule.match)}, and opens nothing here as a client's`,
          ];
    return [...withRole, ...unitDoubts(client, others)];
  }
}

/** A client that is a whole organizational unit may take in what nobody thinks of. */
function unitDoubts(client: Client, others: readonly Client[]): readonly string[] {
  const { clientId, match } = client;
  if (isNetworkAlone(match)) return [];
  const unit = unitAlone(client);
  if (unit !== undefined)
    return [`${wholeUnit(clientId, unit)}: one that is another client's too is ${AMBIGUOUS}, and an administrator's opens nothing here`];
  if (match.ou !== undefined) return [];
  const units = others.flatMap((other) => {
    const whole = other.clientId === clientId ? undefined : unitAlone(other);
    return whole === undefined ? [] : [wholeUnit(other.clientId, whole)];
  });
  const more = units.length > 1 ? ` (and ${units.length - 1} more clients are like that)` : '';
  return units.slice(0, 1).map((first) => `${first}${more}: one of client "${clientId}" that has it is ${AMBIGUOUS}`);
}

const AMBIGUOUS = 'refused as ambiguous_identity';

function wholeUnit(clientId: string, unit: string): string {
  return `client "${clientId}" is every certificate of the organizational unit "${unit}"`;
}

function taken({ clientId }: Client, what: string): string {
  return `client "${clientId}" matches ${what}, which would then open nothing here; choose another name or match`;
}

function lockout(message: string): AdminError {
  return new AdminError(Code.FAILED_PRECONDITION, 'ADMIN_LOCKOUT', message);
}

/** `either`: one of the two; both are networks when one is. */
function sameForAll({ narrow, wide }: Overlap, either: Client | undefined, verb: 'is' | 'would be'): string {
  return either !== undefined && isNetworkAlone(either.match)
    ? `the network ${either.match.cidr} of client "${narrow}" ${verb} that of client "${wide}" too, and whoever comes from it is ${AMBIGUOUS}`
    : `every certificate of client "${narrow}" ${verb} one of client "${wide}" too, and ${AMBIGUOUS}`;
}

function overlapWarning(overlap: Overlap, either: Client | undefined): string {
  const { narrow, wide, always } = overlap;
  return always
    ? sameForAll(overlap, either, 'is')
    : `a certificate may be both client "${narrow}" and client "${wide}"; it is ${AMBIGUOUS}`;
}

function bounded(warnings: readonly string[]): readonly string[] {
  if (warnings.length <= MAX_WARNINGS) return warnings;
  return [...warnings.slice(0, MAX_WARNINGS), `and ${warnings.length - MAX_WARNINGS} more warnings of this kind`];
}

const MATCH_FIELDS = ['cn', 'dns', 'uri', 'ou', 'fingerprint'] as const;

/** `cn "ops", ou "Operations"` */
function asText(match: IdentityMatch): string {
  return MATCH_FIELDS.filter((field) => match[field] !== undefined)
    .map((field) => `${field} "${match[field]}"`)
    .join(', ');
}
