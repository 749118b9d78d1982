/**
 * Calls `pass` after so many milliseconds, and not before what had arrived by then was looked at: a thread that was busy meanwhile
 * comes to its timers before its sockets, and would blame others for its own delay. Returns what calls it off.
 */
export function atDeadline(afterMs: number, pass: () => void): () => void {
  let look: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    look = setImmediate(pass);
  }, afterMs);
  // It bounds something that keeps the thread alive by itself, if it is to.
  timer.unref();
  return () => {
    clearTimeout(timer);
    clearImmediate(look);
  };
}
