/** The methods that change something; RemoveUpstreamServer, which takes its time, has a file of its own. */
import { DomainError } from '../domain/errors.ts';
import { LOG_LEVELS, type LogLevel, type Snapshot } from '../domain/model.ts';
import { unroutableClients } from '../domain/unroutable.ts';
import type { AdminServiceServer } from '../gen/lb/admin/v1/admin.ts';
import type { Changes } from './changes.ts';
import type { AdminContext } from './context.ts';
import { clientFrom } from './convert.ts';
import { targetGroupFrom, upstreamServerFrom } from './convert-groups.ts';
import type { LockoutGuard } from './lockout.ts';
import { unary } from './rpc.ts';

type Mutations = Pick<AdminServiceServer, 'addTargetGroup' | 'removeTargetGroup' | 'addUpstreamServer' | 'addClient' | 'setLogLevel'>;

export function changeMethods({ health, logLevel, log }: AdminContext, changes: Changes, guard: LockoutGuard): Mutations {
  return {
    addTargetGroup: unary(log, async (request, caller) => {
      const { revision, group } = await changes.recorded('AddTargetGroup', caller, async () => {
        const group = targetGroupFrom(request.targetGroup, 'targetGroup');
        return { ...(await changes.execute({ kind: 'addTargetGroup', group }, caller, request, 'targetGroup')), group };
      });
      await Promise.all(group.servers.map(({ address }) => health.firstProbe(group.name, address)));
      return { revision: BigInt(revision) };
    }),

    removeTargetGroup: unary(log, async (request, caller) => {
      const command = { kind: 'removeTargetGroup', name: request.name } as const;
      const { revision } = await changes.recorded('RemoveTargetGroup', caller, () => changes.execute(command, caller, request));
      return { revision: BigInt(revision) };
    }),

    addUpstreamServer: unary(log, async (request, caller) => {
      const group = request.targetGroup;
      const { revision, server } = await changes.recorded('AddUpstreamServer', caller, async () => {
        const server = upstreamServerFrom(request.server, 'server');
        return { ...(await changes.execute({ kind: 'addUpstreamServer', group, server }, caller, request)), server };
      });
      // A server that is up takes connections when it is acknowledged.
      await health.firstProbe(group, server.address);
      return { revision: BigInt(revision) };
    }),

    addClient: unary(log, async (request, caller) => {
      let warnings: readonly string[] = [];
      const { revision } = await changes.recorded('AddClient', caller, () => {
        const client = clientFrom(request.client, 'client');
        const command = (current: Snapshot) => {
          // One of the same name is refused by apply, which says so best.
          if (!current.clients.has(client.clientId))
            warnings = [...guard.checkClient(client, current, caller), ...unroutableClients([client], current.listeners)];
          return { kind: 'addClient', client } as const;
        };
        return changes.execute(command, caller, request, 'client');
      });
      return { revision: BigInt(revision), warnings: [...warnings] };
    }),

    setLogLevel: unary(log, async (request, caller) => {
      const { previous } = await changes.recorded('SetLogLevel', caller, () => {
        const level = logLevelFrom(request.level);
        const previous = logLevel.get();
        logLevel.set(level);
        return { previous, replayed: false };
      });
      return { previous };
    }),
  };
}

function logLevelFrom(text: string): LogLevel {
  const level = LOG_LEVELS.find((each) => each === text);
  if (level === undefined)
    throw new DomainError('invalid', 'level', `"${text}" is not a log level; expected one of ${LOG_LEVELS.join(', ')}`);
  return level;
}
