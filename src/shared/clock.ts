/**
 * Milliseconds with fractions on the system's monotonic clock: the same in every thread (performance.now() counts from each
 * thread's own start), and untouched by changes of the wall clock.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
