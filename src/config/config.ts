import type { Address, Client, Listener, LogLevel, Revocation, TargetGroup, Timeouts } from '../domain/model.ts';
import type { RoleRules } from '../domain/roles.ts';
import type { TlsParams } from '../domain/tls-material.ts';

/** Where metrics are read. */
export interface MetricsConfig {
  readonly address: Address;
  readonly dashboard: boolean;
  /** Under which it is asked for, beside addresses and the names that it has anyway. */
  readonly hosts: readonly string[];
}

/** A config file, checked and completed: every default is filled in, every path is absolute, and nothing in it can change. */
export interface Config {
  /** Absolute. */
  readonly file: string;
  /** At least one. */
  readonly listeners: readonly Listener[];
  readonly targetGroups: readonly TargetGroup[];
  readonly clients: readonly Client[];
  /** Certificates that are not accepted, besides those on a CRL. */
  readonly revocations: readonly Revocation[];
  readonly timeouts: Timeouts;
  /** Worker threads, 1 to 64. */
  readonly workers: number;
  /** Unfinished TLS handshakes that one worker holds at most. */
  readonly maxPendingHandshakes: number;
  readonly admin: AdminConfig;
  /** undefined: there is no metrics endpoint. */
  readonly metrics: MetricsConfig | undefined;
  readonly store: StoreConfig;
  readonly logLevel: LogLevel;
}

/** What is running besides the state. */
export type Running = Omit<Config, 'targetGroups' | 'clients' | 'revocations'>;

export interface AdminConfig {
  readonly address: Address;
  readonly tls: TlsParams;
  readonly roles: RoleRules;
  /** False: the file says nothing about roles, and `roles` are the default ones. */
  readonly rolesConfigured: boolean;
}

export type StoreConfig =
  | { readonly kind: 'memory' }
  | {
      readonly kind: 'sqlite';
      /** Absolute. */
      readonly path: string;
    };
