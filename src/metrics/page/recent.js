/** What was refused in the last minute: differences between looks, kept in this page. */

const KEPT_MS = 60_000;

/** Takes each new state in, and gives its listeners with how many each has refused in the last minute, as far as this page has seen. */
export function latelyRefused() {
  let looks = [];
  return ({ atMs, startedAtMs, listeners }) => {
    const counts = new Map(listeners.shown.map(({ name, refused }) => [name, refused]));
    // Another daemon counts from zero again.
    looks = looks.filter((look) => look.startedAtMs === startedAtMs && look.atMs >= atMs - KEPT_MS);
    looks.push({ atMs, startedAtMs, counts });
    return listeners.shown.map((listener) => {
      const { name, refused } = listener;
      const before = looks.find((look) => look.counts.has(name)).counts.get(name);
      // One that was removed and added again counts from zero again.
      return { ...listener, refusedLately: refused < before ? refused : refused - before };
    });
  };
}
