import type { Difference } from '../domain/diff.ts';
import type { Revision, Revocation } from '../domain/model.ts';
import type { Command } from '../domain/state.ts';

/** Of a value, in characters. */
const LONGEST_VALUE = 200;

/**
 * A change in one line for people, such as "add upstream server 127.0.0.1:8083 to FrontEndService". Of an update it says what was made
 * different; undefined: not known, and it says what the entry is.
 */
export function summaryOf(command: Command, made: readonly Difference[] | undefined): string {
  switch (command.kind) {
    case 'replaceAll':
      return `take in a configuration: ${contents(totalsOf(command), command.revocations)}`;
    case 'replaceSome':
      return `${originOf(command.backTo)}: ${contents(command.makes, command.revocations)}`;
    case 'setListeners':
      return `take over ${counted(command.listeners.length, 'listener')} from the configuration file`;
    case 'addTargetGroup':
      return `add target group ${command.group.name} with ${counted(command.group.servers.length, 'server')}`;
    case 'removeTargetGroup':
      return `remove target group ${command.name}`;
    case 'updateTargetGroup':
      return `update target group ${command.group.name}: ${made === undefined ? valuesOf(command.group, 'servers') : changesIn(made, 2)}`;
    case 'addUpstreamServer':
      return `add upstream server ${command.server.address} to ${command.group}`;
    case 'removeUpstreamServer':
      return `remove upstream server ${command.address} from ${command.group}`;
    case 'setUpstreamServer': {
      const { address, ...settings } = command.server;
      return `set upstream server ${address} of ${command.group}: ${made === undefined ? valuesOf(settings) : changesIn(made, 4)}`;
    }
    case 'addClient':
      return `add client ${command.client.clientId} for ${command.client.allowedTargetGroups.join(', ')}`;
    case 'updateClient':
      return `update client ${command.client.clientId}: ${made === undefined ? valuesOf(command.client) : changesIn(made, 2)}`;
    case 'removeClient':
      return `remove client ${command.clientId}`;
    case 'revokeCertificate':
      return `revoke certificate ${command.revocation.fingerprint}`;
  }
}

function originOf(backTo: Revision | undefined): string {
  return backTo === undefined ? 'take in a configuration' : `roll back to revision ${backTo}`;
}

/** `weight 1 -> 2`, where the paths begin with so many parts that name the entry. */
function changesIn(made: readonly Difference[], named: number): string {
  const changes = made.map(({ path, before, after }) => `${path.split('/').slice(named).join('.')} ${shown(before)} -> ${shown(after)}`);
  return changes.length === 0 ? 'as it was' : changes.join(', ');
}

/** Every field but the names and what the update leaves alone. */
function valuesOf(entry: object, ...others: readonly string[]): string {
  const fields = Object.entries(entry).filter(([field]) => !['name', 'clientId', ...others].includes(field));
  return fields.map(([field, value]) => `${field} ${shown(value === undefined ? '' : JSON.stringify(value))}`).join(', ');
}

/** JSON without the quotes of a plain word. */
function shown(json: string): string {
  const text = json === '' ? 'none' : json.replace(/^"(?<word>[\w.:*-]+)"$/, '$<word>');
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text;
}

type Totals = Extract<Command, { readonly kind: 'replaceSome' }>['makes'];

function totalsOf({ targetGroups, clients }: Extract<Command, { readonly kind: 'replaceAll' }>): Totals {
  const servers = targetGroups.reduce((sum, group) => sum + group.servers.length, 0);
  return { targetGroups: targetGroups.length, servers, clients: clients.length };
}

function contents({ targetGroups, servers, clients }: Totals, revocations: readonly Revocation[]): string {
  const parts = [counted(targetGroups, 'target group'), counted(servers, 'server'), counted(clients, 'client')];
  if (revocations.length > 0) parts.push(counted(revocations.length, 'revoked certificate'));
  return parts.join(', ');
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
