/** The options that say how lbd speaks TLS to the servers of a target group. */
import type { Command } from 'commander';
import type { UpstreamTls } from '../../src/gen/lb/admin/v1/admin.ts';
import { usageError } from '../errors.ts';

/** What {@link upstreamTlsOptions} reads. */
export interface UpstreamTlsOptions {
  readonly upstreamTls?: boolean;
  readonly upstreamTlsCa?: string;
  readonly upstreamTlsServerName?: string;
  readonly upstreamTlsCertificate?: string;
  readonly upstreamTlsKey?: string;
  readonly upstreamTlsInsecure?: boolean;
}

/** `--upstream-tls` and what describes it; files are on the machine of lbd. */
export function upstreamTlsOptions(command: Command): Command {
  return command
    .option('--upstream-tls', 'TLS to the servers, judged by the public CAs unless --upstream-tls-ca is given (default: plain TCP)')
    .option(
      '--upstream-tls-ca <file>',
      "the CAs of the servers: a PEM file on the machine of lbd, by its absolute path; '': the public CAs",
    )
    .option('--upstream-tls-server-name <name>', "sent as SNI and looked for in the certificate; '': the host of the address (the default)")
    .option('--upstream-tls-certificate <file>', "certificate for servers that ask for one, on the machine of lbd; '': none (the default)")
    .option('--upstream-tls-key <file>', 'its private key, on the machine of lbd')
    .option('--upstream-tls-insecure', 'take any certificate of a server: whoever gets between can read and change everything');
}

/** `--no-upstream-tls` and `--no-upstream-tls-insecure`, for what is there already. */
export function withoutUpstreamTlsOptions(command: Command): Command {
  return command
    .option('--no-upstream-tls', 'plain TCP to the servers again')
    .option('--no-upstream-tls-insecure', 'look at the certificates of the servers again');
}

/** Whether any option speaks of TLS to the servers. */
export function describesUpstreamTls(options: UpstreamTlsOptions): boolean {
  return options.upstreamTls !== undefined || describesParts(options);
}

function describesParts(options: UpstreamTlsOptions): boolean {
  const { upstreamTlsCa, upstreamTlsServerName, upstreamTlsCertificate, upstreamTlsKey, upstreamTlsInsecure } = options;
  return (upstreamTlsCa ?? upstreamTlsServerName ?? upstreamTlsCertificate ?? upstreamTlsKey ?? upstreamTlsInsecure) !== undefined;
}

/** Undefined: plain TCP. What is left out stays as it is in `before`. Throws a CliError for options that do not fit together. */
export function upstreamTlsOf(options: UpstreamTlsOptions, before: UpstreamTls | undefined): UpstreamTls | undefined {
  if (options.upstreamTls === false) {
    if (describesParts(options)) throw usageError('--no-upstream-tls and what describes TLS to the servers: give the one or the other');
    return undefined;
  }
  const certificate = options.upstreamTlsCertificate ?? before?.certificate ?? '';
  const privateKey = certificate === '' ? '' : (options.upstreamTlsKey ?? before?.privateKey ?? '');
  if (certificate !== '' && privateKey === '') throw usageError('the key of --upstream-tls-certificate? give --upstream-tls-key');
  if (certificate === '' && options.upstreamTlsKey !== undefined) throw usageError('a key for what? give --upstream-tls-certificate');
  return {
    ca: options.upstreamTlsCa ?? before?.ca ?? '',
    serverName: options.upstreamTlsServerName ?? before?.serverName ?? '',
    certificate,
    privateKey,
    insecureSkipVerify: options.upstreamTlsInsecure ?? before?.insecureSkipVerify ?? false,
  };
}
