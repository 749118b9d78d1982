/** What holds where nobody says otherwise: the same for the config file, the admin API, and states that earlier versions wrote. */

import type { HealthCheck } from './health-check.ts';
import type { Limits, OutlierDetection, TargetGroup, UpstreamServer } from './model.ts';

export const DEFAULT_HEALTH_CHECK: HealthCheck = {
  type: 'tcp',
  intervalMs: 5000,
  timeoutMs: 5000,
  unhealthyThreshold: 1,
  healthyThreshold: 3,
  maxIntervalMs: 60_000,
  http: undefined,
  grpc: undefined,
  sendExpect: undefined,
};

export const DEFAULT_OUTLIER_DETECTION: OutlierDetection = {
  consecutiveFailures: 5,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionPercent: 50,
};

export const DEFAULT_QUEUE_TIMEOUT_MS = 5000;
/** HAProxy's documentation of hash-balance-factor names 125 as a good first value. */
export const DEFAULT_HASH_BALANCE_FACTOR = 125;
export const DEFAULT_RESOLVE_INTERVAL_MS = 30_000;

/** A target group but for its name and servers. */
export const DEFAULT_GROUP: Omit<TargetGroup, 'name' | 'servers'> = {
  algorithm: 'leastConnections',
  healthCheck: DEFAULT_HEALTH_CHECK,
  connectTimeoutMs: 5000,
  retries: 3,
  onUnhealthy: 'keep',
  slowStartMs: 0,
  panicThreshold: 0,
  outlierDetection: DEFAULT_OUTLIER_DETECTION,
  queue: undefined,
  hashBalanceFactor: DEFAULT_HASH_BALANCE_FACTOR,
  agentCheck: undefined,
  rebalance: undefined,
  sendProxyProtocol: undefined,
  upstreamTls: undefined,
  resolveIntervalMs: DEFAULT_RESOLVE_INTERVAL_MS,
};

/** An upstream server but for its address. */
export const DEFAULT_SERVER: Omit<UpstreamServer, 'address'> = { weight: 1, maxConnections: undefined, backup: false, mode: 'ready' };

export const NO_LIMITS: Limits = { connectionRate: undefined, concurrentConnections: undefined, bandwidth: undefined, shadow: false };
