/** The options that say what a target group does with servers that fail, are full, or have recovered. */
import type { Command } from 'commander';
import type { AgentCheck, OutlierDetection, Queue, Rebalance } from '../../src/gen/lb/admin/v1/admin.ts';
import { optionalDuration } from '../durations.ts';
import { usageError } from '../errors.ts';
import { count, positiveDuration } from '../values.ts';

/** What {@link overloadOptions} reads. `false` is what `--no-queue` and the like give. */
export interface OverloadOptions {
  readonly outlierFailures?: number;
  readonly outlierEjection?: number;
  readonly outlierMaxEjection?: number;
  readonly outlierMaxPercent?: number;
  readonly queue?: boolean;
  readonly queueLength?: number;
  readonly queueTimeout?: number;
  readonly agent?: boolean;
  readonly agentPort?: number;
  readonly agentInterval?: number;
  readonly agentTimeout?: number;
  readonly rebalance?: number | false;
}

/** `--outlier-failures`, `--queue-length`, `--agent-port`, `--rebalance` and what describes them. */
export function overloadOptions(command: Command): Command {
  return command
    .option('--outlier-failures <n>', 'failed connects in a row that eject a server; 0: none is ejected (default: 5)', count(0))
    .option('--outlier-ejection <duration>', 'the first ejection; the second in a row takes twice as long (default: 30s)', positiveDuration)
    .option('--outlier-max-ejection <duration>', 'no ejection takes longer (default: 5m)', positiveDuration)
    .option('--outlier-max-percent <percent>', 'of the servers are ejected at once at most (default: 50)', count(0, 100))
    .option('--queue-length <n>', 'connections that wait while every server is full (default: they are refused)', count(1))
    .option('--queue-timeout <duration>', 'a connection that has waited so long is refused (default: 5s)', positiveDuration)
    .option('--agent-port <port>', "where an agent on each server's host tells its load (default: none is asked)", count(1, 65_535))
    .option('--agent-interval <duration>', 'between two questions to an agent (default: 5s)', positiveDuration)
    .option('--agent-timeout <duration>', 'of a question to an agent (default: 5s)', positiveDuration)
    .option('--rebalance <n>', 'connections that move each second after a server has recovered (default: they stay)', count(1));
}

/** `--no-queue`, `--no-agent` and `--no-rebalance`, for what is there already. */
export function withoutOverloadOptions(command: Command): Command {
  return command
    .option('--no-queue', 'connections are refused again while every server is full')
    .option('--no-agent', 'no agent is asked any more')
    .option('--no-rebalance', 'connections stay where they are when a server has recovered');
}

/** Whether any option speaks of ejections. */
export function describesOutliers(options: OverloadOptions): boolean {
  const { outlierFailures, outlierEjection, outlierMaxEjection, outlierMaxPercent } = options;
  return (outlierFailures ?? outlierEjection ?? outlierMaxEjection ?? outlierMaxPercent) !== undefined;
}

/** What is left out stays as it is in `before`. */
export function outliersOf(options: OverloadOptions, before: OutlierDetection | undefined): OutlierDetection {
  return {
    consecutiveFailures: options.outlierFailures ?? before?.consecutiveFailures,
    baseEjectionTime: optionalDuration(options.outlierEjection) ?? before?.baseEjectionTime,
    maxEjectionTime: optionalDuration(options.outlierMaxEjection) ?? before?.maxEjectionTime,
    maxEjectionPercent: options.outlierMaxPercent ?? before?.maxEjectionPercent,
  };
}

/** Whether any option speaks of the queue. */
export function describesQueue({ queue, queueLength, queueTimeout }: OverloadOptions): boolean {
  return queue === false || (queueLength ?? queueTimeout) !== undefined;
}

/** Undefined: none. What is left out stays as it is in `before`. Throws a CliError for options that make no queue. */
export function queueOf({ queue, queueLength, queueTimeout }: OverloadOptions, before: Queue | undefined): Queue | undefined {
  if (queue === false) {
    if ((queueLength ?? queueTimeout) !== undefined) throw usageError('--no-queue and what describes a queue: give the one or the other');
    return undefined;
  }
  const maxLength = queueLength ?? before?.maxLength;
  if (maxLength === undefined) throw usageError('how many connections may wait? give --queue-length');
  return { maxLength, timeout: optionalDuration(queueTimeout) ?? before?.timeout };
}

/** Whether any option speaks of the agent. */
export function describesAgent({ agent, agentPort, agentInterval, agentTimeout }: OverloadOptions): boolean {
  return agent === false || (agentPort ?? agentInterval ?? agentTimeout) !== undefined;
}

/** Undefined: none. What is left out stays as it is in `before`. Throws a CliError for options that make no check. */
export function agentCheckOf(options: OverloadOptions, before: AgentCheck | undefined): AgentCheck | undefined {
  const { agent, agentPort, agentInterval, agentTimeout } = options;
  if (agent === false) {
    if ((agentPort ?? agentInterval ?? agentTimeout) !== undefined)
      throw usageError('--no-agent and what describes an agent: give the one or the other');
    return undefined;
  }
  const port = agentPort ?? before?.port;
  if (port === undefined) throw usageError('where is the agent? give --agent-port');
  return {
    port,
    interval: optionalDuration(agentInterval) ?? before?.interval,
    timeout: optionalDuration(agentTimeout) ?? before?.timeout,
  };
}

/** Undefined: connections stay. */
export function rebalanceOf({ rebalance }: OverloadOptions): Rebalance | undefined {
  return rebalance === undefined || rebalance === false ? undefined : { perSecond: rebalance };
}
