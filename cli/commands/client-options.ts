/** The options that say who a client is and how fast it may connect, for add-client and update-client. */
import type { Command } from 'commander';
import {
  type Bandwidth,
  type ConnectionRate,
  type IdentityMatch,
  LimitAction,
  type Limits,
  RateAlgorithm,
} from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import { byteRate, collect, count, duration, name, positiveDuration, wordOption } from '../values.ts';
import { LIMIT_ACTION_WORDS, RATE_ALGORITHM_WORDS } from '../words.ts';

/** The most that the server takes as a limit or a burst. */
const MOST_PER_WINDOW = 1_000_000;

/** What {@link rateOptions} and {@link bandwidthOptions} read, and `--concurrent-connections`. `false` is what `--no-bandwidth` gives. */
export interface LimitOptions {
  readonly requestsPerSecond?: number;
  readonly limit?: number;
  readonly window?: number;
  readonly algorithm?: RateAlgorithm;
  readonly burst?: number;
  readonly action?: LimitAction;
  readonly maxDelay?: number;
  readonly concurrentConnections?: number;
  readonly bandwidth?: boolean;
  readonly bandwidthUp?: bigint;
  readonly bandwidthDown?: bigint;
  readonly shadow?: boolean;
}

/** What {@link matchOptions} reads. */
export interface MatchOptions {
  readonly matchCn?: string;
  readonly matchDns?: string;
  readonly matchUri?: string;
  readonly matchOu?: string;
  readonly matchFingerprint?: string;
  readonly matchCidr?: string;
}

/** What {@link groupOptions} reads. */
export interface GroupOptions {
  readonly targetGroup?: readonly string[];
  readonly allowedTargetGroup?: readonly string[];
}

/** `--target-group` and its other name. */
export function groupOptions(command: Command): Command {
  return command
    .option('--target-group <name>', 'a target group it may reach; repeat it for several', collect(name))
    .option('--allowed-target-group <name>', 'the same as --target-group', collect(name));
}

/** The groups that {@link groupOptions} name. */
export function groupsOf({ targetGroup = [], allowedTargetGroup = [] }: GroupOptions): readonly string[] {
  return [...targetGroup, ...allowedTargetGroup];
}

/** `--requests-per-second`, `--limit` and what describes it. */
export function rateOptions(command: Command): Command {
  return command
    .option('--requests-per-second <n>', 'short for --limit N --window 1s', count(1, MOST_PER_WINDOW))
    .option('--limit <n>', 'new connections per window, at most 1000000 (default: no bound)', count(1, MOST_PER_WINDOW))
    .option('--window <duration>', 'the window of --limit (default: 1s)', positiveDuration)
    .addOption(wordOption('--algorithm <algorithm>', 'how --limit counts (default: fixedWindow)', RATE_ALGORITHM_WORDS))
    .option('--burst <n>', 'size of the tokenBucket, depth of the leakyBucket; 0: the limit (default)', count(0, MOST_PER_WINDOW))
    .addOption(wordOption('--action <action>', 'what becomes of a connection over the limit (default: reset)', LIMIT_ACTION_WORDS))
    .option('--max-delay <duration>', 'the longest wait with --action delay, at most 60s (default: 5s)', duration);
}

/** `--bandwidth-up`, `--bandwidth-down` and `--shadow`. */
export function bandwidthOptions(command: Command): Command {
  return command
    .option(
      '--bandwidth-up <bytes>',
      'per second from it, over all its connections, at least 1KiB, such as 10MB or 512KiB; 0: no bound (default)',
      byteRate,
    )
    .option('--bandwidth-down <bytes>', 'per second to it, at least 1KiB; 0: no bound (default)', byteRate)
    .option('--shadow', 'count what its limits would refuse or slow down, and do neither');
}

/** `--match-cn` and the others. */
export function matchOptions(command: Command): Command {
  return command
    .option('--match-cn <name>', 'its certificate has this common name', name)
    .option('--match-dns <name>', '... this DNS name', name)
    .option('--match-uri <uri>', '... this URI name, for example a SPIFFE id', name)
    .option('--match-ou <unit>', '... this organizational unit', name)
    .option('--match-fingerprint <sha256>', '... this SHA-256 fingerprint', name)
    .option(
      '--match-cidr <network>',
      'it connects from this network; alone it is for plain listeners, where there is no certificate',
      name,
    );
}

/** What the match options say; undefined when none is given. */
export function matchOf(options: MatchOptions): IdentityMatch | undefined {
  const match = {
    cn: options.matchCn ?? '',
    dns: options.matchDns ?? '',
    uri: options.matchUri ?? '',
    ou: options.matchOu ?? '',
    fingerprint: options.matchFingerprint ?? '',
    cidr: options.matchCidr ?? '',
  };
  return Object.values(match).some((value) => value !== '') ? match : undefined;
}

/** What the limit options say; undefined when none is given. Throws a CliError for options that make no limit. */
export function limitsOf(options: LimitOptions): Limits | undefined {
  const connectionRate = connectionRateOf(options);
  const bandwidth = describesBandwidth(options) ? bandwidthOf(options, undefined) : undefined;
  const { concurrentConnections = 0, shadow = false } = options;
  return connectionRate === undefined && bandwidth === undefined && concurrentConnections === 0 && !shadow
    ? undefined
    : { connectionRate, concurrentConnections, bandwidth, shadow };
}

/** Whether any option speaks of bytes. */
export function describesBandwidth({ bandwidth, bandwidthUp, bandwidthDown }: Omit<LimitOptions, 'limit'>): boolean {
  return bandwidth === false || (bandwidthUp ?? bandwidthDown) !== undefined;
}

/** Undefined: no bound. The direction that is left out stays as it is in `before`. Throws a CliError for options that do not fit together. */
export function bandwidthOf(options: Omit<LimitOptions, 'limit'>, before: Bandwidth | undefined): Bandwidth | undefined {
  const { bandwidth, bandwidthUp, bandwidthDown } = options;
  if (bandwidth === false) {
    if ((bandwidthUp ?? bandwidthDown) !== undefined)
      throw usageError('--no-bandwidth and --bandwidth-up or --bandwidth-down: give the one or the others');
    return undefined;
  }
  return { upload: bandwidthUp ?? before?.upload ?? 0n, download: bandwidthDown ?? before?.download ?? 0n };
}

/** Undefined when none of its options is given. `before` is what goes on where an option is left out. Throws a CliError. */
export function connectionRateOf(options: LimitOptions, before?: ConnectionRate): ConnectionRate | undefined {
  const { requestsPerSecond, window, algorithm, burst, action, maxDelay } = options;
  if (requestsPerSecond !== undefined && (options.limit !== undefined || window !== undefined)) {
    throw usageError('--requests-per-second N is short for --limit N --window 1s; give the one or the other');
  }
  const given = options.limit ?? requestsPerSecond;
  if ([given, window, algorithm, burst, action, maxDelay].every((value) => value === undefined)) return undefined;
  const limit = given ?? before?.limit;
  if (limit === undefined) {
    throw usageError(
      '--window, --algorithm, --burst, --action and --max-delay describe a limit; give --limit or --requests-per-second too',
    );
  }
  return {
    limit,
    window: optionalDuration(requestsPerSecond === undefined ? window : 1_000) ?? before?.window,
    algorithm: algorithm ?? before?.algorithm ?? RateAlgorithm.UNSPECIFIED,
    // 0 follows the limit.
    burst: burst ?? before?.burst ?? 0,
    action: action ?? before?.action ?? LimitAction.UNSPECIFIED,
    maxDelay: optionalDuration(maxDelay) ?? before?.maxDelay,
  };
}
