/** The methods that change a part of a target group or of a server and leave the rest; no connection is touched. */
import { DomainError } from '../domain/errors.ts';
import type { Snapshot, TargetGroup, UpstreamServer } from '../domain/model.ts';
import type { Command } from '../domain/state.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import type { Changes } from './changes.ts';
import type { AdminContext } from './context.ts';
import { addressFrom, serverModeFrom, targetGroupFrom, upstreamServerMessage } from './convert.ts';
import { fieldsMeant } from './field-mask.ts';
import { unary } from './rpc.ts';

type Updates = Pick<proto.AdminServiceServer, 'updateTargetGroup' | 'setUpstreamServer'>;

export function updateMethods({ authority, log }: AdminContext, changes: Changes): Updates {
  return {
    updateTargetGroup: unary(log, async (request, caller) => {
      const { revision } = await changes.recorded('UpdateTargetGroup', caller, () =>
        changes.execute(groupUpdateFrom(request), caller, request, 'targetGroup'),
      );
      return { revision: BigInt(revision) };
    }),

    setUpstreamServer: unary(log, async (request, caller) => {
      const { revision } = await changes.recorded('SetUpstreamServer', caller, () =>
        changes.execute(serverUpdateFrom(request), caller, request),
      );
      const server = serverIn(authority.snapshot, request.targetGroup, addressFrom(request.server, 'server'));
      return { revision: BigInt(revision), server: server === undefined ? undefined : upstreamServerMessage(server) };
    }),
  };
}

const GROUP_FIELDS = ['algorithm', 'health_check', 'connect_timeout', 'retries', 'on_unhealthy'] as const;

/** @throws DomainError `invalid` */
function groupUpdateFrom({ targetGroup, updateMask }: proto.UpdateTargetGroupRequest): (current: Snapshot) => Command {
  const given = targetGroup ?? proto.TargetGroup.create();
  const fields = fieldsMeant(
    updateMask,
    {
      algorithm: given.algorithm !== proto.Algorithm.UNSPECIFIED,
      health_check: given.healthCheck !== undefined,
      connect_timeout: given.connectTimeout !== undefined,
      retries: given.retries !== undefined,
      on_unhealthy: given.onUnhealthy !== proto.OnUnhealthy.UNSPECIFIED,
    },
    GROUP_FIELDS,
  );
  // What is not meant is not looked at.
  const wanted = targetGroupFrom(
    {
      name: given.name,
      servers: [],
      algorithm: fields.has('algorithm') ? given.algorithm : proto.Algorithm.UNSPECIFIED,
      healthCheck: fields.has('health_check') ? given.healthCheck : undefined,
      connectTimeout: fields.has('connect_timeout') ? given.connectTimeout : undefined,
      retries: fields.has('retries') ? given.retries : undefined,
      onUnhealthy: fields.has('on_unhealthy') ? given.onUnhealthy : proto.OnUnhealthy.UNSPECIFIED,
    },
    'targetGroup',
  );
  return (current) => {
    // A group that is not there is refused by apply, which says so best.
    const before = current.targetGroups.get(wanted.name) ?? wanted;
    const group: TargetGroup = {
      ...before,
      ...(fields.has('algorithm') ? { algorithm: wanted.algorithm } : {}),
      ...(fields.has('health_check') ? { healthCheck: wanted.healthCheck } : {}),
      ...(fields.has('connect_timeout') ? { connectTimeoutMs: wanted.connectTimeoutMs } : {}),
      ...(fields.has('retries') ? { retries: wanted.retries } : {}),
      ...(fields.has('on_unhealthy') ? { onUnhealthy: wanted.onUnhealthy } : {}),
    };
    return { kind: 'updateTargetGroup', group };
  };
}

/** @throws DomainError `invalid` */
function serverUpdateFrom(request: proto.SetUpstreamServerRequest): (current: Snapshot) => Command {
  const { targetGroup: group, weight, maxConnections, backup } = request;
  const address = addressFrom(request.server, 'server');
  const mode = serverModeFrom(request.mode, 'mode');
  if ((weight ?? maxConnections ?? backup ?? mode) === undefined) {
    throw new DomainError('invalid', 'mode', 'nothing to change; set some of weight, max_connections, backup, mode');
  }
  return (current) => {
    const before = serverIn(current, group, address) ?? { address, weight: 1, maxConnections: undefined, backup: false, mode: 'ready' };
    const server: UpstreamServer = {
      address,
      weight: weight ?? before.weight,
      maxConnections: maxConnections === undefined ? before.maxConnections : maxConnections === 0 ? undefined : maxConnections,
      backup: backup ?? before.backup,
      mode: mode ?? before.mode,
    };
    return { kind: 'setUpstreamServer', group, server };
  };
}

function serverIn({ targetGroups }: Snapshot, group: string, address: string): UpstreamServer | undefined {
  return targetGroups.get(group)?.servers.find((server) => server.address === address);
}
