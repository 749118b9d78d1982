/** How the servers of a group are looked at. */

export const CHECK_TYPES = ['tcp', 'tls', 'http', 'grpc', 'sendExpect', 'none'] as const;
export type CheckType = (typeof CHECK_TYPES)[number];

export interface HealthCheck {
  readonly type: CheckType;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failures in a row that make a healthy server unhealthy. */
  readonly unhealthyThreshold: number;
  /** Successes in a row that make an unhealthy server healthy. */
  readonly healthyThreshold: number;
  /** The interval grows to this while the server stays down. */
  readonly maxIntervalMs: number;
  readonly http: HttpCheck | undefined;
  readonly grpc: GrpcCheck | undefined;
  readonly sendExpect: SendExpectCheck | undefined;
}

export interface HttpCheck {
  readonly path: string;
  readonly host: string | undefined;
  /** Inclusive range of status codes that mean healthy. */
  readonly statusFrom: number;
  readonly statusTo: number;
  /** Text that the body holds within its first 64 KiB; undefined: it is not read. */
  readonly body: string | undefined;
}

/** grpc.health.v1.Health/Check. */
export interface GrpcCheck {
  /** Empty: the server as a whole. */
  readonly service: string;
  /** The :authority of the call; undefined: the server's address. */
  readonly authority: string | undefined;
}

export interface SendExpectCheck {
  /** Sent after connecting; may be empty. */
  readonly send: string;
  /** Text that the answer holds within its first 64 KiB. */
  readonly expect: string;
}
