/** The methods that change a part of a target group or of a server and leave the rest; no connection is touched. */

import { DEFAULT_SERVER } from '../domain/defaults.ts';
import { DomainError } from '../domain/errors.ts';
import type { Snapshot, TargetGroup, UpstreamServer } from '../domain/model.ts';
import type { Command } from '../domain/state.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import type { Changes } from './changes.ts';
import type { AdminContext } from './context.ts';
import { serverModeFrom, targetGroupFrom, upstreamServerMessage } from './convert-groups.ts';
import { addressFrom } from './convert-values.ts';
import { fieldsMeant } from './field-mask.ts';
import { unary } from './rpc.ts';

type Updates = Pick<proto.AdminServiceServer, 'updateTargetGroup' | 'setUpstreamServer'>;

export function updateMethods({ authority, log }: AdminContext, changes: Changes): Updates {
  return {
    updateTargetGroup: unary(log, async (request, caller) => {
      const { revision, unchanged } = await changes.recorded('UpdateTargetGroup', caller, () =>
        changes.execute(groupUpdateFrom(request), caller, request, 'targetGroup'),
      );
      return { revision: BigInt(revision), nothingToChange: unchanged };
    }),

    setUpstreamServer: unary(log, async (request, caller) => {
      const { revision, unchanged } = await changes.recorded('SetUpstreamServer', caller, () =>
        changes.execute(serverUpdateFrom(request), caller, request),
      );
      const server = serverIn(authority.snapshot, request.targetGroup, addressFrom(request.server, 'server'));
      const message = server === undefined ? undefined : upstreamServerMessage(server);
      return { revision: BigInt(revision), server: message, nothingToChange: unchanged };
    }),
  };
}

/** The fields that can be updated, as masks name them: what each is called in the message and in the state. */
const GROUP_FIELDS = {
  algorithm: ['algorithm', 'algorithm'],
  health_check: ['healthCheck', 'healthCheck'],
  connect_timeout: ['connectTimeout', 'connectTimeoutMs'],
  retries: ['retries', 'retries'],
  on_unhealthy: ['onUnhealthy', 'onUnhealthy'],
  slow_start: ['slowStart', 'slowStartMs'],
  panic_threshold: ['panicThreshold', 'panicThreshold'],
  outlier_detection: ['outlierDetection', 'outlierDetection'],
  queue: ['queue', 'queue'],
  hash_balance_factor: ['hashBalanceFactor', 'hashBalanceFactor'],
  agent_check: ['agentCheck', 'agentCheck'],
  rebalance: ['rebalance', 'rebalance'],
  send_proxy_protocol: ['sendProxyProtocol', 'sendProxyProtocol'],
  upstream_tls: ['upstreamTls', 'upstreamTls'],
  resolve_interval: ['resolveInterval', 'resolveIntervalMs'],
} as const satisfies Record<string, readonly [keyof proto.TargetGroup, keyof TargetGroup]>;
type GroupField = keyof typeof GROUP_FIELDS;

const NOTHING_SET = proto.TargetGroup.create();

/** @throws DomainError `invalid` */
function groupUpdateFrom({ targetGroup, updateMask }: proto.UpdateTargetGroupRequest): (current: Snapshot) => Command {
  const given = targetGroup ?? NOTHING_SET;
  const known = Object.keys(GROUP_FIELDS) as GroupField[]; // keys of a constant
  const isSet = mapped(known, (field) => given[GROUP_FIELDS[field][0]] !== NOTHING_SET[GROUP_FIELDS[field][0]]);
  const fields = [...fieldsMeant(updateMask, isSet, known)];
  // What is not meant is not looked at.
  const meant = Object.fromEntries(fields.map((field) => [GROUP_FIELDS[field][0], given[GROUP_FIELDS[field][0]]]));
  const wanted = targetGroupFrom({ ...NOTHING_SET, ...meant, name: given.name }, 'targetGroup');
  const changes = Object.fromEntries(fields.map((field) => [GROUP_FIELDS[field][1], wanted[GROUP_FIELDS[field][1]]]));
  // A group that is not there is refused by apply, which says so best.
  return (current) => ({
    kind: 'updateTargetGroup',
    group: { ...(current.targetGroups.get(wanted.name) ?? wanted), ...changes },
  });
}

function mapped<K extends string, V>(keys: readonly K[], valueFor: (key: K) => V): Readonly<Record<K, V>> {
  return Object.fromEntries(keys.map((key) => [key, valueFor(key)])) as Record<K, V>; // each key has just been given its value
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
    const before = serverIn(current, group, address) ?? { address, ...DEFAULT_SERVER };
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
