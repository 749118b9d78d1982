/** Portcullis as a library: the load balancer without daemon and admin server, and its balancing alone. */
import type { Config } from './config/config.ts';
import { type ConfigDocument, configFrom } from './config/document.ts';
import type { Algorithm } from './domain/model.ts';
import { checkAlgorithm, checkOptions } from './library-arguments.ts';
import { LoadBalancer, type LoadBalancerOptions } from './load-balancer.ts';
import { Balancer, type Candidate } from './own-servers.ts';

export { loadConfigFile } from './config/check.ts';
export type { Config } from './config/config.ts';
export type { ClientDocument, ConfigDocument } from './config/document.ts';
export { parseConfig } from './config/parse.ts';
export { ConfigError, type Problem } from './config/problems.ts';
export { TlsFileError } from './config/tls-files.ts';
export type { Accepted, Intent } from './controlplane/authority.ts';
export type { HealthEvent, ServerHealth } from './controlplane/health-journal.ts';
export type { Resolve } from './controlplane/host-resolver.ts';
export type { ClientCounters, ServerCounters, Totals } from './controlplane/stats.ts';
export { RevisionConflictError, type Store, StoreCorruptError, StoreUnavailableError } from './controlplane/store/store.ts';
export { ListenError } from './controlplane/worker-thread.ts';
export { DomainError, type DomainErrorCode } from './domain/errors.ts';
export type { BoundListener } from './domain/model.ts';
export {
  ALGORITHMS,
  type Algorithm,
  type Client,
  type Listener,
  type LogLevel,
  type Snapshot,
  type TargetGroup,
  type UpstreamServer,
} from './domain/model.ts';
export { REASON_MEANING, REASONS, type Reason } from './domain/reasons.ts';
export type { Command } from './domain/state.ts';
export type { LoadBalancer, LoadBalancerOptions, ServerSettings } from './load-balancer.ts';
export { type Balancer, type Candidate, pick } from './own-servers.ts';
export type { ConnectionSelector } from './shared/messages.ts';

/**
 * Starts a load balancer from what loadConfigFile or parseConfig gave, or from an object in the shape of the YAML file.
 * Resolves when it listens and every server has been probed once (or for a second). It runs until its `stop`.
 * @throws ConfigError, TlsFileError, StoreUnavailableError, DomainError or ListenError, or TypeError for what is no configuration
 * at all, or no option; nothing is left running then
 */
export async function createLoadBalancer(config: Config | ConfigDocument, options: LoadBalancerOptions = {}): Promise<LoadBalancer> {
  // JavaScript has no types to stop a caller who forgets it, or who gives the name of a file.
  if (typeof config !== 'object' || config === null) {
    throw new TypeError(
      'createLoadBalancer takes a configuration: what loadConfigFile(file) or parseConfig(text, file) gives, or an object in the shape of the YAML file',
    );
  }
  checkOptions(options);
  return LoadBalancer.start('file' in config ? config : configFrom(config), options);
}

/**
 * The balancing alone, for servers of one's own: keep one for each group of servers, and ask it with `pick`.
 * @throws TypeError unless it is one of ALGORITHMS
 */
export function createBalancer<S extends Candidate>(algorithm: Algorithm, random: () => number = Math.random): Balancer<S> {
  checkAlgorithm(algorithm, random);
  return new Balancer(algorithm, random);
}
