/** What a connection attempt fails with when it is this machine that has nothing left to connect with. */
const LOCAL: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

/** Whether the error says something of this machine rather than of the server that was to be connected to. */
export function isLocalFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && LOCAL.has(error.code);
}
