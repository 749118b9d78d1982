/** The options that say how a target group balances and checks its servers, for add-target-group and update-target-group. */
import type { Command } from 'commander';
import { type Algorithm, CheckType, type HealthCheck, type OnUnhealthy } from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import { count, name, positiveDuration, statusRange, wordOption } from '../values.ts';
import { ALGORITHM_WORDS, CHECK_TYPE_WORDS, ON_UNHEALTHY_WORDS } from '../words.ts';

interface HealthOptions {
  readonly healthCheck?: CheckType;
  readonly healthInterval?: number;
  readonly healthTimeout?: number;
  readonly healthMaxInterval?: number;
  readonly unhealthyThreshold?: number;
  readonly healthyThreshold?: number;
  readonly healthPath?: string;
  readonly healthHost?: string;
  readonly healthStatus?: { readonly from: number; readonly to: number };
}

/** What {@link behaviourOptions} reads. */
export interface BehaviourOptions extends HealthOptions {
  readonly algorithm?: Algorithm;
  readonly connectTimeout?: number;
  readonly retries?: number;
  readonly onUnhealthy?: OnUnhealthy;
}

/** How it balances, `--algorithm`, how it checks, and what it does about failures. */
export function behaviourOptions(command: Command): Command {
  return command
    .addOption(wordOption('--algorithm <algorithm>', 'how it balances (default: leastConnections)', ALGORITHM_WORDS))
    .addOption(wordOption('--health-check <type>', 'how its servers are probed (default: tcp)', CHECK_TYPE_WORDS))
    .option('--health-interval <duration>', 'between two probes (default: 5s)', positiveDuration)
    .option('--health-timeout <duration>', 'of a probe (default: 5s)', positiveDuration)
    .option('--health-max-interval <duration>', 'between two probes of a server that is down (default: 60s)', positiveDuration)
    .option('--unhealthy-threshold <n>', 'failures in a row that make a server unhealthy (default: 1)', count(1, 1_000))
    .option('--healthy-threshold <n>', 'successes in a row that make it healthy again (default: 3)', count(1, 1_000))
    .option('--health-path <path>', 'what an http check asks for (default: /)', name)
    .option('--health-host <host>', 'the Host header of an http check', name)
    .option('--health-status <from-to>', 'what an http check takes as healthy (default: 200-399)', statusRange)
    .option('--connect-timeout <duration>', 'for a connection to a server (default: 5s)', positiveDuration)
    .option('--retries <n>', 'how many other servers to try after the first refuses (default: 3)', count(0, 10))
    .addOption(
      wordOption('--on-unhealthy <what>', 'what becomes of the connections of a server that fails (default: keep)', ON_UNHEALTHY_WORDS),
    );
}

/** Whether any option speaks of the health check. */
export function describesHealthCheck(options: HealthOptions): boolean {
  return options.healthCheck !== undefined || describesHttp(options) || timing(options).some((value) => value !== undefined);
}

/** Undefined when no option speaks of it. What is left out stays as it is in `before`. Throws a CliError for options that do not fit its type. */
export function healthCheckOf(options: HealthOptions, before?: HealthCheck): HealthCheck | undefined {
  if (!describesHealthCheck(options)) return undefined;
  const type = options.healthCheck ?? before?.type ?? CheckType.TCP;
  if (describesHttp(options) && type !== CheckType.HTTP) {
    throw usageError('--health-path, --health-host and --health-status are for --health-check http; give that too');
  }
  const { healthPath, healthHost, healthStatus } = options;
  const http = {
    path: healthPath ?? before?.http?.path ?? '',
    host: healthHost ?? before?.http?.host ?? '',
    statusFrom: healthStatus?.from ?? before?.http?.statusFrom ?? 0,
    statusTo: healthStatus?.to ?? before?.http?.statusTo ?? 0,
  };
  return {
    type,
    interval: optionalDuration(options.healthInterval) ?? before?.interval,
    timeout: optionalDuration(options.healthTimeout) ?? before?.timeout,
    unhealthyThreshold: options.unhealthyThreshold ?? before?.unhealthyThreshold ?? 0,
    healthyThreshold: options.healthyThreshold ?? before?.healthyThreshold ?? 0,
    maxInterval: optionalDuration(options.healthMaxInterval) ?? before?.maxInterval,
    http: type === CheckType.HTTP && (describesHttp(options) || before?.http !== undefined) ? http : undefined,
  };
}

const describesHttp = ({ healthPath, healthHost, healthStatus }: HealthOptions) =>
  healthPath !== undefined || healthHost !== undefined || healthStatus !== undefined;

const timing = (options: HealthOptions) => [
  options.healthInterval,
  options.healthTimeout,
  options.healthMaxInterval,
  options.unhealthyThreshold,
  options.healthyThreshold,
];
