import type { Revocation, TargetGroup } from '../domain/model.ts';
import type { Command } from '../domain/state.ts';

/** A change in one line for people, such as "add upstream server 127.0.0.1:8083 to FrontEndService". */
export function summaryOf(command: Command): string {
  switch (command.kind) {
    case 'replaceAll':
      return `take in a configuration: ${contents(command)}`;
    case 'setListeners':
      return `take over ${counted(command.listeners.length, 'listener')} from the configuration file`;
    case 'addTargetGroup':
      return `add target group ${command.group.name} with ${counted(command.group.servers.length, 'server')}`;
    case 'removeTargetGroup':
      return `remove target group ${command.name}`;
    case 'updateTargetGroup':
      return `update target group ${command.group.name}`;
    case 'addUpstreamServer':
      return `add upstream server ${command.server.address} to ${command.group}`;
    case 'removeUpstreamServer':
      return `remove upstream server ${command.address} from ${command.group}`;
    case 'setUpstreamServer': {
      const { address, weight, mode } = command.server;
      return `set upstream server ${address} of ${command.group} to weight ${weight}, ${mode}`;
    }
    case 'addClient':
      return `add client ${command.client.clientId} for ${command.client.allowedTargetGroups.join(', ')}`;
    case 'updateClient':
      return `update client ${command.client.clientId}`;
    case 'removeClient':
      return `remove client ${command.clientId}`;
    case 'revokeCertificate':
      return `revoke certificate ${command.revocation.fingerprint}`;
  }
}

function contents({
  targetGroups,
  clients,
  revocations,
}: {
  readonly targetGroups: readonly TargetGroup[];
  readonly clients: readonly unknown[];
  readonly revocations: readonly Revocation[];
}): string {
  const servers = targetGroups.reduce((sum, group) => sum + group.servers.length, 0);
  const parts = [counted(targetGroups.length, 'target group'), counted(servers, 'server'), counted(clients.length, 'client')];
  if (revocations.length > 0) parts.push(counted(revocations.length, 'revoked certificate'));
  return parts.join(', ');
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
