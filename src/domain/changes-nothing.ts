import { clientDifferences, groupDifferences } from './diff.ts';
import type { Snapshot } from './model.ts';
import type { Command } from './state.ts';

/**
 * True of a command that leaves the state as it is, which therefore needs no revision: one that asks for what there is already, or a
 * revocation of what is revoked. A configuration file that is taken in at the start is not asked.
 */
export function changesNothing(snapshot: Snapshot, command: Command): boolean {
  switch (command.kind) {
    case 'replaceSome': {
      const { listeners, targetGroups, clients, revocations } = command;
      const touched = [targetGroups.put, targetGroups.removed, clients.put, clients.removed, revocations];
      return listeners === undefined && touched.every((entries) => entries.length === 0);
    }
    case 'updateTargetGroup': {
      const before = snapshot.targetGroups.get(command.group.name);
      if (before === undefined) return false;
      return groupDifferences(before.name, before, { ...command.group, servers: before.servers }).length === 0;
    }
    case 'setUpstreamServer': {
      const group = snapshot.targetGroups.get(command.group);
      const before = group?.servers.find(({ address }) => address === command.server.address);
      if (group === undefined || before === undefined) return false;
      return groupDifferences(group.name, { ...group, servers: [before] }, { ...group, servers: [command.server] }).length === 0;
    }
    case 'updateClient': {
      const before = snapshot.clients.get(command.client.clientId);
      return before !== undefined && clientDifferences(before.clientId, before, command.client).length === 0;
    }
    case 'revokeCertificate':
      return snapshot.revocations.has(command.revocation.fingerprint);
    default:
      return false;
  }
}
