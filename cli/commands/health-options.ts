/** The options that say how the servers of a target group are probed. */
import type { Command } from 'commander';
import { CheckType, type GrpcCheck, type HealthCheck, type HttpCheck, type SendExpectCheck } from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import { count, escapedText, name, positiveDuration, statusRange, wordOption } from '../values.ts';
import { CHECK_TYPE_WORDS } from '../words.ts';

/** What {@link healthOptions} reads. */
export interface HealthOptions {
  readonly healthCheck?: CheckType;
  readonly healthInterval?: number;
  readonly healthTimeout?: number;
  readonly healthMaxInterval?: number;
  readonly unhealthyThreshold?: number;
  readonly healthyThreshold?: number;
  readonly healthPath?: string;
  readonly healthHost?: string;
  readonly healthStatus?: { readonly from: number; readonly to: number };
  readonly healthBody?: string;
  readonly healthGrpcService?: string;
  readonly healthGrpcAuthority?: string;
  readonly healthSend?: string;
  readonly healthExpect?: string;
}

/** `--health-check` and what describes it. */
export function healthOptions(command: Command): Command {
  return command
    .addOption(wordOption('--health-check <type>', 'how its servers are probed (default: tcp)', CHECK_TYPE_WORDS))
    .option('--health-interval <duration>', 'between two probes (default: 5s)', positiveDuration)
    .option('--health-timeout <duration>', 'of a probe (default: 5s)', positiveDuration)
    .option('--health-max-interval <duration>', 'between two probes of a server that is down (default: 60s)', positiveDuration)
    .option('--unhealthy-threshold <n>', 'failures in a row that make a server unhealthy (default: 1)', count(1))
    .option('--healthy-threshold <n>', 'successes in a row that make it healthy again (default: 3)', count(1))
    .option('--health-path <path>', 'what an http check asks for (default: /)', name)
    .option('--health-host <host>', 'the Host header of an http check', name)
    .option('--health-status <from-to>', 'what an http check takes as healthy (default: 200-399)', statusRange)
    .option('--health-body <text>', "text that the body of an http check's answer must hold; '': it is not read (the default)")
    .option('--health-grpc-service <name>', "the service that a grpc check asks about; '': the server as a whole (the default)")
    .option('--health-grpc-authority <host>', 'the :authority of a grpc check', name)
    .option(
      '--health-send <text>',
      'what a sendExpect check sends; \\r \\n \\t \\0 \\\\ and \\x7f are read (default: nothing)',
      escapedText,
    )
    .option('--health-expect <text>', 'text that the answer to a sendExpect check must hold; escapes as in --health-send', escapedText);
}

/** What belongs to one type of check alone. */
const OWN = [
  {
    type: CheckType.HTTP,
    flags: '--health-path, --health-host, --health-status and --health-body are for --health-check http',
    isGiven: ({ healthPath, healthHost, healthStatus, healthBody }: HealthOptions) =>
      (healthPath ?? healthHost ?? healthStatus ?? healthBody) !== undefined,
  },
  {
    type: CheckType.GRPC,
    flags: '--health-grpc-service and --health-grpc-authority are for --health-check grpc',
    isGiven: ({ healthGrpcService, healthGrpcAuthority }: HealthOptions) => (healthGrpcService ?? healthGrpcAuthority) !== undefined,
  },
  {
    type: CheckType.SEND_EXPECT,
    flags: '--health-send and --health-expect are for --health-check sendExpect',
    isGiven: ({ healthSend, healthExpect }: HealthOptions) => (healthSend ?? healthExpect) !== undefined,
  },
] as const;

/** Whether any option speaks of the health check. */
export function describesHealthCheck(options: HealthOptions): boolean {
  const { healthCheck, healthInterval, healthTimeout, healthMaxInterval, unhealthyThreshold, healthyThreshold } = options;
  const common = healthCheck ?? healthInterval ?? healthTimeout ?? healthMaxInterval ?? unhealthyThreshold ?? healthyThreshold;
  return common !== undefined || OWN.some(({ isGiven }) => isGiven(options));
}

/** What is left out stays as it is in `before`. Throws a CliError for options that do not fit the type. */
export function healthCheckOf(options: HealthOptions, before: HealthCheck | undefined): HealthCheck {
  const type = options.healthCheck ?? before?.type ?? CheckType.TCP;
  for (const { type: wanted, flags, isGiven } of OWN) {
    if (isGiven(options) && type !== wanted) throw usageError(`${flags}; give that too`);
  }
  return {
    type,
    interval: optionalDuration(options.healthInterval) ?? before?.interval,
    timeout: optionalDuration(options.healthTimeout) ?? before?.timeout,
    unhealthyThreshold: options.unhealthyThreshold ?? before?.unhealthyThreshold ?? 0,
    healthyThreshold: options.healthyThreshold ?? before?.healthyThreshold ?? 0,
    maxInterval: optionalDuration(options.healthMaxInterval) ?? before?.maxInterval,
    http: type === CheckType.HTTP ? httpOf(options, before?.http) : undefined,
    grpc: type === CheckType.GRPC ? grpcOf(options, before?.grpc) : undefined,
    sendExpect: type === CheckType.SEND_EXPECT ? sendExpectOf(options, before?.sendExpect) : undefined,
  };
}

function httpOf(options: HealthOptions, before: HttpCheck | undefined): HttpCheck {
  return {
    path: options.healthPath ?? before?.path ?? '',
    host: options.healthHost ?? before?.host ?? '',
    statusFrom: options.healthStatus?.from ?? before?.statusFrom ?? 0,
    statusTo: options.healthStatus?.to ?? before?.statusTo ?? 0,
    body: options.healthBody ?? before?.body ?? '',
  };
}

function grpcOf(options: HealthOptions, before: GrpcCheck | undefined): GrpcCheck {
  return {
    service: options.healthGrpcService ?? before?.service ?? '',
    authority: options.healthGrpcAuthority ?? before?.authority ?? '',
  };
}

function sendExpectOf(options: HealthOptions, before: SendExpectCheck | undefined): SendExpectCheck {
  const expect = options.healthExpect ?? before?.expect ?? '';
  if (expect === '') throw usageError('what must the answer of a sendExpect check hold? give --health-expect');
  return { send: options.healthSend ?? before?.send ?? '', expect };
}
