/** The process that started this one, and passes signals on to it: whether it is still there, and what it waits for. */

const LOOK_EACH_MS = 1_000;

/** Calls back once a launcher of bin/ or, where `byNpm`, the npm that started this process was killed: nobody else knows of this one. */
export function whenParentIsKilled(byNpm: boolean, end: () => void): void {
  // The channel to the launcher closes with it, perhaps before anybody listens here.
  process.once('disconnect', end);
  if (process.connected === false) end();
  if (!byNpm) return;
  const npm = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === npm) return;
    clearInterval(timer);
    end();
  }, LOOK_EACH_MS).unref();
}

/** Tells a launcher of bin/ that SIGHUP does not end this process any more: it passes none on before. */
export function tellParentOfListening(): void {
  // A launcher that is gone is another matter, above.
  process.send?.('listens to SIGHUP', undefined, undefined, () => undefined);
}
