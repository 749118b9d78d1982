import { type Identity, matchesIdentity } from './identity.ts';
import type { IdentityMatch } from './model.ts';

/** What an admin certificate may do, least first: each role may do all that the ones before it may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** Which certificates hold which role. */
export type RoleRules = Readonly<Record<Role, readonly IdentityMatch[]>>;

/** The highest role that the rules give this identity. */
export function roleOf(identity: Identity, rules: RoleRules): Role | undefined {
  return ROLES.findLast((role) => rules[role].some((match) => matchesIdentity(match, identity)));
}

export function roleSuffices(held: Role, needed: Role): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed);
}
