/** What went wrong on the way to a server, in words for people. */

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  ETIMEDOUT: 'no answer to the connection attempt',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ENETDOWN: 'network down',
  EADDRNOTAVAIL: 'no local port or address left to connect from',
  EMFILE: 'lbd has no file descriptor left',
  ENFILE: 'the system has no file descriptor left',
  ENOBUFS: 'the system has no buffer left',
  ENOMEM: 'the system has no memory left',
  EACCES: 'connecting is not permitted',
  EPERM: 'connecting is not permitted',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the server does not speak TLS',
  ENOTFOUND: 'host name not found',
  ENODATA: 'host name without an address',
  EAI_AGAIN: 'host name not resolved',
  ESERVFAIL: 'the name server failed',
  EREFUSED: 'the name server refused to answer',
  ECANCELLED: 'the name server did not answer in time',
};

/** The one place where the platform's error codes become words. Nothing that the server sent gets through unless printable and short. */
export function wordsOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = WORDS[code];
  if (known !== undefined) return known;
  return printable('reason' in error && typeof error.reason === 'string' ? error.reason : code || error.message);
}

/** At most 100 characters of what somebody else wrote, those that a terminal might obey replaced. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 100);
}
