/**
 * How many connections fit into the files that the process may have open. Past that limit the system hands over no connection
 * and tells nobody: workers would spin over a port that stays readable. So each worker stays below its share.
 */

/** A client's socket and its upstream server's. */
const FILES_PER_CONNECTION = 2;
/** Standard streams, state file, admin API, health probes; and what each worker has beside connections. */
const FILES_BESIDE = { process: 32, worker: 16 } as const;
/** A limit so low that nothing would fit is tried nevertheless. */
const FEWEST = 4;

/** Connections for each of `workers`, at least 4; `openFiles` is undefined where there is no limit. */
export function connectionsPerWorker(workers: number, openFiles = openFilesLimit()): number {
  if (openFiles === undefined) return Number.POSITIVE_INFINITY;
  const left = openFiles - FILES_BESIDE.process - workers * FILES_BESIDE.worker;
  return Math.max(FEWEST, Math.floor(left / FILES_PER_CONNECTION / workers));
}

/** The soft limit (`ulimit -n`), which Node.js has raised to the hard one. */
function openFilesLimit(): number | undefined {
  // @types/node does not know the setting. Without it, the name of every open socket's peer would be looked up.
  const report: typeof process.report & { excludeNetwork?: boolean } = process.report;
  const { excludeNetwork = false } = report;
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  report.excludeNetwork = excludeNetwork;
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : undefined;
}
