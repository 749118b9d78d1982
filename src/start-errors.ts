/** Why lbd did not start, as lines for the person who started it: what is wrong, and what to do. */
import { ConfigError } from './config/problems.ts';
import { TlsFileError } from './config/tls-files.ts';
import { StoreUnavailableError } from './controlplane/store/store.ts';
import { ListenError } from './controlplane/worker-thread.ts';
import { EndpointListenError } from './daemon.ts';
import { DomainError } from './domain/errors.ts';
import { formatAddress } from './domain/model.ts';
import { QuickstartError } from './quickstart/quickstart.ts';
import { TakeoverError } from './takeover.ts';

/** A config file's problems are one line each, as they are; everything else is one line that begins with `lbd:`. */
export function explainStartError(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof EndpointListenError) {
    const what = error.endpoint === 'admin' ? 'the admin API' : 'the metrics endpoint';
    return `lbd: ${what} cannot listen on ${formatAddress(error.address)}: ${listenAdvice(error.code, error.message, `${error.endpoint}.address`)}`;
  }
  if (error instanceof ListenError) {
    return `lbd: listener "${error.listener}": ${listenAdvice(error.code, error.message, 'its address in the config file')}`;
  }
  if (
    error instanceof TlsFileError ||
    error instanceof StoreUnavailableError ||
    error instanceof DomainError ||
    error instanceof QuickstartError ||
    error instanceof TakeoverError
  )
    return `lbd: ${error.message}`;
  return `lbd: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

function listenAdvice(code: string, message: string, setting: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `${message}; stop the process that has the port (ss -ltnp shows it) or change ${setting}`;
    case 'EACCES':
      return `${message}; ports below 1024 need CAP_NET_BIND_SERVICE; grant it or change ${setting}`;
    case 'EADDRNOTAVAIL':
      return `${message}; this machine does not have the address; change ${setting}`;
    default:
      return message;
  }
}
