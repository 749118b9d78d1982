/** Clients that shut a certificate out: their own, another client's or an administrator's. The admin API refuses them as well. */
import { plainFingerprint } from '../domain/fingerprint.ts';
import { ANY_NAME_MATCH, type IdentityMatch } from '../domain/model.ts';
import { isNetworkAlone, type Known, overlapsAmong, takesInAll } from '../domain/overlap.ts';
import { ROLES } from '../domain/roles.ts';
import { at, isMapping, items, textOf } from './cross-checks.ts';
import { found } from './problems.ts';
import { positionOf, type SourceNode, type SourceProblem } from './source.ts';

interface ClientInFile extends Known {
  readonly node: SourceNode;
  /** In the list. */
  readonly place: number;
}

interface Rule {
  readonly match: IdentityMatch;
  /** Where the file says so. */
  readonly where: string;
}

/** Asked of the file as written, as crossProblems is; what is wrong in itself is passed over here. */
export function lockoutProblems(root: SourceNode): SourceProblem[] {
  const problems: SourceProblem[] = [];
  const report = ({ node }: ClientInFile, expected: string) => {
    const { path } = node.children.get('match') ?? node.children.get('clientId') ?? node;
    problems.push({ path, position: positionOf(root, path), expected });
  };
  const clients = clientsIn(root);
  for (const { narrow, wide, always } of overlapsAmong([...clients.values()])) {
    const [inner, outer] = [clients.get(narrow), clients.get(wide)];
    if (!always || inner === undefined || outer === undefined) continue;
    const [earlier, later] = inner.place <= outer.place ? [inner, outer] : [outer, inner];
    const what = isNetworkAlone(inner.match) ? `the network ${inner.match.cidr}` : `every certificate of ${found(narrow)}`;
    const whose = isNetworkAlone(inner.match) ? 'that' : 'one';
    const why = `${what} would be ${whose} of ${found(wide)} too, and refused as ambiguous_identity`;
    report(later, `expected a match that tells it from ${found(earlier.clientId)} of line ${earlier.node.start.line}; ${why}`);
  }
  const rules = rulesIn(root);
  for (const client of clients.values()) {
    const rule = rules.find(({ match }) => takesInAll(client, match));
    if (rule !== undefined)
      report(
        client,
        `expected a match that leaves administrators out; a certificate that has its role ${rule.where} would open nothing there`,
      );
  }
  return problems;
}

/** By id; of several with one id, the first. */
function clientsIn(root: SourceNode): ReadonlyMap<string, ClientInFile> {
  const clients = new Map<string, ClientInFile>();
  for (const node of items(root, 'clients')) {
    const clientId = textOf(node.children.get('clientId'));
    if (clientId === undefined || clients.has(clientId)) continue;
    const match = node.children.get('match');
    clients.set(clientId, { clientId, match: match === undefined ? ANY_NAME_MATCH : matchIn(match), node, place: clients.size });
  }
  return clients;
}

/** The default ones where the file has none. */
function rulesIn(root: SourceNode): readonly Rule[] {
  const roles = at(root, 'admin', 'roles');
  if (roles === undefined) {
    return ROLES.flatMap((role) => [
      { match: { ...ANY_NAME_MATCH, cn: role }, where: 'without admin.roles' },
      { match: { ...ANY_NAME_MATCH, ou: role }, where: 'without admin.roles' },
    ]);
  }
  const entries = Array.isArray(roles.value)
    ? [...roles.children.values()].map((entry) => entry.children.get('match') ?? entry)
    : [...roles.children.values()].flatMap((role) => [...role.children.values()]);
  return entries.map((entry) => ({ match: ruleIn(entry), where: `by line ${entry.start.line}` }));
}

function ruleIn(entry: SourceNode): IdentityMatch {
  const commonName = textOf(entry);
  return commonName === undefined ? matchIn(entry) : { ...ANY_NAME_MATCH, cn: commonName };
}

function matchIn(node: SourceNode): IdentityMatch {
  if (!isMapping(node)) return ANY_NAME_MATCH;
  const field = (key: keyof IdentityMatch) => textOf(node.children.get(key));
  const fingerprint = field('fingerprint');
  return {
    cn: field('cn'),
    dns: field('dns'),
    uri: field('uri'),
    ou: field('ou'),
    fingerprint: fingerprint === undefined ? undefined : plainFingerprint(fingerprint),
    cidr: field('cidr')?.toLowerCase(),
  };
}
