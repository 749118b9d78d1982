import { readFileSync, statSync } from 'node:fs';

/** The process that holds a POSIX lock on the file, as Linux tells it; undefined where it does not, as in another container. */
export function lockHolder(path: string): number | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    const file = `${deviceNumbers(dev)}:${ino}`;
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      // Such as "1: POSIX  ADVISORY  WRITE 4711 fe:00:10529131 0 EOF"; who only waits for a lock has "->" in the second place.
      const [, kind, , , pid, lockedFile] = line.split(/ +/);
      if (kind === 'POSIX' && lockedFile === file && Number(pid) > 0) return Number(pid);
    }
  } catch {
    // No /proc, or no file: then nobody can be named.
  }
  return undefined;
}

/** Major and minor number of a device as the kernel writes them there; their bits in `st_dev` are where makedev(3) of Linux puts them. */
function deviceNumbers(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffff_ff00n);
  return [major, minor].map((number) => number.toString(16).padStart(2, '0')).join(':');
}
