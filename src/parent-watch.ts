/** Whether the process that started this one, and passes signals on to it, is still there. */

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
