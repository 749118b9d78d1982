/** The methods that change something; RemoveUpstreamServer, which takes its time, has a file of its own. */
import { DomainError } from '../domain/errors.ts';
import { ClientIndex } from '../domain/identity.ts';
import { type Client, LOG_LEVELS, type LogLevel } from '../domain/model.ts';
import type { AdminServiceServer } from '../gen/lb/admin/v1/admin.ts';
import type { Caller } from './caller.ts';
import type { Changes } from './changes.ts';
import type { AdminContext } from './context.ts';
import { clientFrom, targetGroupFrom, upstreamServerFrom } from './convert.ts';
import { count } from './replies.ts';
import { unary } from './rpc.ts';

type Mutations = Pick<
  AdminServiceServer,
  'addTargetGroup' | 'removeTargetGroup' | 'addUpstreamServer' | 'addClient' | 'removeClient' | 'setLogLevel'
>;

export function changeMethods({ authority, health, connections, logLevel, log }: AdminContext, changes: Changes): Mutations {
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
      const { revision } = await changes.recorded('AddClient', caller, () => {
        const client = clientFrom(request.client, 'client');
        refuseLockout(client, caller);
        return changes.execute({ kind: 'addClient', client }, caller, request, 'client');
      });
      return { revision: BigInt(revision) };
    }),

    removeClient: unary(log, async (request, caller) => {
      const { clientId } = request;
      const command = { kind: 'removeClient', clientId } as const;
      const { revision } = await changes.recorded('RemoveClient', caller, () => changes.execute(command, caller, request));
      // A repeated request closes what is left as well, unless the client has been added again since.
      const closed = authority.snapshot.clients.has(clientId) ? 0 : await connections.close({ clientId }, 'client_removed');
      return { revision: BigInt(revision), connectionsClosed: count(closed) };
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

/** A data-plane client's certificate opens nothing here, so nobody makes a client of his own certificate by mistake. */
function refuseLockout(client: Client, { identity, name }: Caller): void {
  if (identity === undefined || new ClientIndex([client]).find(identity) === 'unknown') return;
  const problem = `client "${client.clientId}" matches your own certificate "${name}", which would then open nothing here`;
  throw new DomainError('in_use', 'client.clientId', `${problem}; choose another name or match, or let another administrator add it`);
}

function logLevelFrom(text: string): LogLevel {
  const level = LOG_LEVELS.find((each) => each === text);
  if (level === undefined)
    throw new DomainError('invalid', 'level', `"${text}" is not a log level; expected one of ${LOG_LEVELS.join(', ')}`);
  return level;
}
