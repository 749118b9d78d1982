/**
 * Who may be asked for. A page from elsewhere can have its own name point to this address (DNS rebinding) and then read what is
 * here as if it were its own; but the browser sends that name along.
 */
import { isIP } from 'node:net';
import { hostname } from 'node:os';

/**
 * Says whether a Host header (RFC 9110 section 7.2) is one that belongs here: an IP address, `localhost`, the name of this machine,
 * or one of `names`. undefined: none was sent, which no browser does.
 */
export function hostCheck(names: readonly string[]): (header: string | undefined) => boolean {
  const own = new Set(['localhost', hostname(), ...names].map((name) => name.toLowerCase()));
  return (header) => {
    if (header === undefined) return true;
    const host = /^(?:\[(?<v6>[^\]]*)\]|(?<name>[^:]*))(?::\d*)?$/.exec(header)?.groups;
    if (host === undefined) return false;
    const { v6, name = '' } = host;
    return v6 === undefined ? isIP(name) === 4 || own.has(name.toLowerCase()) : isIP(v6) === 6;
  };
}
