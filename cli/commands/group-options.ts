/** The options that say how a target group balances and checks its servers, for add-target-group and update-target-group. */
import type { Command } from 'commander';
import { type Algorithm, type OnUnhealthy, ProxyProtocolVersion, type TargetGroup } from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import { count, duration, positiveDuration, wordOption } from '../values.ts';
import { ALGORITHM_WORDS, ON_UNHEALTHY_WORDS, PROXY_PROTOCOL_WORDS } from '../words.ts';
import { describesHealthCheck, type HealthOptions, healthCheckOf, healthOptions } from './health-options.ts';
import {
  agentCheckOf,
  describesAgent,
  describesOutliers,
  describesQueue,
  type OverloadOptions,
  outliersOf,
  overloadOptions,
  queueOf,
  rebalanceOf,
  withoutOverloadOptions,
} from './overload-options.ts';
import {
  describesUpstreamTls,
  type UpstreamTlsOptions,
  upstreamTlsOf,
  upstreamTlsOptions,
  withoutUpstreamTlsOptions,
} from './upstream-tls-options.ts';

/** What {@link behaviourOptions} reads. */
export interface BehaviourOptions extends HealthOptions, OverloadOptions, UpstreamTlsOptions {
  readonly algorithm?: Algorithm;
  readonly hashBalanceFactor?: number;
  readonly slowStart?: number;
  readonly panicThreshold?: number;
  readonly connectTimeout?: number;
  readonly retries?: number;
  readonly onUnhealthy?: OnUnhealthy;
  readonly sendProxyProtocol?: ProxyProtocolVersion;
  readonly resolveInterval?: number;
}

const PROXY_PROTOCOL_OR_NONE = new Map([...PROXY_PROTOCOL_WORDS, ['none', ProxyProtocolVersion.UNSPECIFIED]]);

/** How it balances, `--algorithm`, how it checks, and what it does about failures. */
export function behaviourOptions(command: Command): Command {
  command.addOption(wordOption('--algorithm <algorithm>', 'how it balances (default: leastConnections)', ALGORITHM_WORDS));
  healthOptions(command)
    .option('--connect-timeout <duration>', 'for a connection to a server (default: 5s)', positiveDuration)
    .option('--retries <n>', 'how many other servers to try after the first refuses (default: 3)', count(0, 10))
    .addOption(
      wordOption('--on-unhealthy <what>', 'what becomes of the connections of a server that fails (default: keep)', ON_UNHEALTHY_WORDS),
    )
    .option('--slow-start <duration>', 'until a server that has recovered gets its whole share (default: 0s)', duration)
    .option('--panic-threshold <percent>', 'below this part of healthy servers all take connections (default: 0, never)', count(0, 100))
    .option(
      '--hash-balance-factor <percent>',
      'of the average load that a server takes at most with sourceHash and clientHash; 0: no bound (default: 125)',
      count(0, 10_000),
    )
    .addOption(
      wordOption(
        '--send-proxy-protocol <version>',
        'the PROXY protocol header that servers are sent (default: none)',
        PROXY_PROTOCOL_OR_NONE,
      ),
    )
    .option('--resolve-interval <duration>', 'how often host names of servers are looked up (default: 30s)', positiveDuration);
  return upstreamTlsOptions(overloadOptions(command));
}

/** What takes something away that a group has. */
export function withoutOptions(command: Command): Command {
  return withoutUpstreamTlsOptions(withoutOverloadOptions(command));
}

/** One field of a target group as the options say it. */
interface GroupField {
  /** As an update mask names it. */
  readonly path: string;
  readonly isGiven: (options: BehaviourOptions) => boolean;
  /** What is left out of a field with parts stays as it is in `before`. Throws a CliError for options that do not fit together. */
  readonly changesOf: (options: BehaviourOptions, before: TargetGroup | undefined) => Partial<TargetGroup>;
  readonly hasParts: boolean;
}

function whole(path: string, key: keyof BehaviourOptions, changesOf: (options: BehaviourOptions) => Partial<TargetGroup>): GroupField {
  return { path, isGiven: (options) => options[key] !== undefined, changesOf, hasParts: false };
}

/** Every field but the name and the servers. */
export const GROUP_FIELDS: readonly GroupField[] = [
  whole('algorithm', 'algorithm', ({ algorithm }) => (algorithm === undefined ? {} : { algorithm })),
  {
    path: 'health_check',
    isGiven: describesHealthCheck,
    changesOf: (options, before) => ({ healthCheck: healthCheckOf(options, before?.healthCheck) }),
    hasParts: true,
  },
  whole('connect_timeout', 'connectTimeout', ({ connectTimeout }) => ({ connectTimeout: optionalDuration(connectTimeout) })),
  whole('retries', 'retries', ({ retries }) => ({ retries })),
  whole('on_unhealthy', 'onUnhealthy', ({ onUnhealthy }) => (onUnhealthy === undefined ? {} : { onUnhealthy })),
  whole('slow_start', 'slowStart', ({ slowStart }) => ({ slowStart: optionalDuration(slowStart) })),
  whole('panic_threshold', 'panicThreshold', ({ panicThreshold = 0 }) => ({ panicThreshold })),
  {
    path: 'outlier_detection',
    isGiven: describesOutliers,
    changesOf: (options, before) => ({ outlierDetection: outliersOf(options, before?.outlierDetection) }),
    hasParts: true,
  },
  { path: 'queue', isGiven: describesQueue, changesOf: (options, before) => ({ queue: queueOf(options, before?.queue) }), hasParts: true },
  whole('hash_balance_factor', 'hashBalanceFactor', ({ hashBalanceFactor }) => ({ hashBalanceFactor })),
  {
    path: 'agent_check',
    isGiven: describesAgent,
    changesOf: (options, before) => ({ agentCheck: agentCheckOf(options, before?.agentCheck) }),
    hasParts: true,
  },
  whole('rebalance', 'rebalance', (options) => ({ rebalance: rebalanceOf(options) })),
  whole('send_proxy_protocol', 'sendProxyProtocol', ({ sendProxyProtocol }) =>
    sendProxyProtocol === undefined ? {} : { sendProxyProtocol },
  ),
  {
    path: 'upstream_tls',
    isGiven: describesUpstreamTls,
    changesOf: (options, before) => ({ upstreamTls: upstreamTlsOf(options, before?.upstreamTls) }),
    hasParts: true,
  },
  whole('resolve_interval', 'resolveInterval', ({ resolveInterval }) => ({ resolveInterval: optionalDuration(resolveInterval) })),
];

/** The fields that the options speak of. */
export function fieldsGiven(options: BehaviourOptions): readonly GroupField[] {
  return GROUP_FIELDS.filter(({ isGiven }) => isGiven(options));
}

/** What the options say of a group; what is left out of a field with parts stays as it is in `before`. Throws a CliError. */
export function behaviourOf(options: BehaviourOptions, before?: TargetGroup): Partial<TargetGroup> {
  return Object.assign({}, ...fieldsGiven(options).map(({ changesOf }) => changesOf(options, before)));
}
