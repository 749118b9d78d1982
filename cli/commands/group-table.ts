/** Target groups as people read them. */
import type { Duration } from '../../src/gen/google/protobuf/duration.ts';
import {
  CheckType,
  type HealthCheck,
  type OutlierDetection,
  type TargetGroup,
  type TargetGroupStatus,
  type UpstreamTls,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { formatDuration, fromDuration } from '../durations.ts';
import { type Paint, table } from '../render.ts';
import { wordOf } from '../words.ts';

/**
 * A table, or a sentence that says there are none; SETTINGS is there when a group has some that are not the default, NOW when
 * connections of one wait or are moved.
 */
export function targetGroupTable(groups: readonly TargetGroup[], paint: Paint, statuses: readonly TargetGroupStatus[] = []): string {
  if (groups.length === 0) return 'no target groups';
  const settings = groups.map(settingsText);
  const hasSettings = settings.some((text) => text !== '');
  const now = new Map(statuses.map((status) => [status.targetGroup, groupNow(status)]));
  const hasNow = [...now.values()].some((text) => text !== '');
  return table(
    [
      'NAME',
      'ALGORITHM',
      'SERVERS',
      'HEALTH CHECK',
      'CONNECT TIMEOUT',
      'RETRIES',
      'ON UNHEALTHY',
      ...(hasNow ? ['NOW'] : []),
      ...(hasSettings ? ['SETTINGS'] : []),
    ],
    groups.map((group, index) => [
      group.name,
      wordOf(group.algorithm) ?? '',
      String(group.servers.length),
      healthCheckText(group.healthCheck),
      timeText(group.connectTimeout),
      group.retries === undefined ? '' : String(group.retries),
      wordOf(group.onUnhealthy) ?? '',
      ...(hasNow ? [now.get(group.name) ?? ''] : []),
      ...(hasSettings ? [settings[index] ?? ''] : []),
    ]),
    paint,
  );
}

/** What waits in the queue of a group and what is being moved; '' when nothing does. */
export function groupNow({ waiting, rebalancing }: TargetGroupStatus): string {
  return [waiting === 0 ? '' : `${waiting} waiting`, rebalancing === undefined ? '' : `${rebalancing} to move`]
    .filter((text) => text !== '')
    .join(', ');
}

function healthCheckText(check: HealthCheck | undefined): string {
  if (check === undefined) return '';
  const type = wordOf(check.type) ?? 'tcp';
  if (check.type === CheckType.NONE) return type;
  const { http, grpc, sendExpect } = check;
  const parts = [
    http?.path ?? '',
    http === undefined || http.body === '' ? '' : `with ${JSON.stringify(http.body)}`,
    grpc?.service ?? '',
    sendExpect === undefined ? '' : `${JSON.stringify(sendExpect.send)} -> ${JSON.stringify(sendExpect.expect)}`,
    check.interval === undefined ? '' : `every ${timeText(check.interval)}`,
  ];
  return [type, ...parts.filter((part) => part !== '')].join(' ');
}

/** What differs from the default of the other settings, in the words of the config file; '' when nothing does. */
export function settingsText(group: TargetGroup): string {
  const { slowStart, panicThreshold, outlierDetection, queue, hashBalanceFactor = 125, agentCheck, rebalance, upstreamTls } = group;
  const proxyProtocol = wordOf(group.sendProxyProtocol);
  const resolveInterval = timeText(group.resolveInterval);
  return [
    timeText(slowStart) === '' || timeText(slowStart) === '0s' ? '' : `slowStart ${timeText(slowStart)}`,
    panicThreshold === 0 ? '' : `panicThreshold ${panicThreshold}%`,
    outlierDetection === undefined ? '' : outliersText(outlierDetection),
    queue === undefined ? '' : `queue ${queue.maxLength}${queue.timeout === undefined ? '' : ` for ${timeText(queue.timeout)}`}`,
    hashBalanceFactor === 125 ? '' : `hashBalanceFactor ${hashBalanceFactor === 0 ? 'off' : `${hashBalanceFactor}%`}`,
    agentCheck === undefined ? '' : `agentCheck :${agentCheck.port} every ${timeText(agentCheck.interval)}`,
    rebalance === undefined ? '' : `rebalance ${rebalance.perSecond}/s`,
    proxyProtocol === undefined ? '' : `sendProxyProtocol ${proxyProtocol}`,
    upstreamTls === undefined ? '' : upstreamTlsText(upstreamTls),
    resolveInterval === '' || resolveInterval === '30s' ? '' : `resolveInterval ${resolveInterval}`,
  ]
    .filter((text) => text !== '')
    .join(', ');
}

function outliersText({ consecutiveFailures = 5, baseEjectionTime, maxEjectionTime, maxEjectionPercent = 50 }: OutlierDetection): string {
  if (consecutiveFailures === 0) return 'outlierDetection off';
  const [base, longest] = [timeText(baseEjectionTime), timeText(maxEjectionTime)];
  const parts = [
    consecutiveFailures === 5 ? '' : `after ${consecutiveFailures}`,
    base === '' || base === '30s' ? '' : `for ${base}`,
    longest === '' || longest === '5m' ? '' : `at most ${longest}`,
    maxEjectionPercent === 50 ? '' : `at most ${maxEjectionPercent}%`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : `outlierDetection ${parts.join(' ')}`;
}

function upstreamTlsText({ ca, serverName, certificate, insecureSkipVerify }: UpstreamTls): string {
  const parts = [
    ca === '' ? '' : `ca ${ca}`,
    serverName === '' ? '' : `as ${serverName}`,
    certificate === '' ? '' : `with ${certificate}`,
    insecureSkipVerify ? 'INSECURE' : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'upstreamTls' : `upstreamTls (${parts.join(' ')})`;
}

function timeText(time: Duration | undefined): string {
  return time === undefined ? '' : formatDuration(fromDuration(time));
}
