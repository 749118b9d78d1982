/**
 * What a client's limits would have done while they only look on (`limits.shadow`). The position of an outcome is its counter's index in
 * shared memory.
 */
export const SHADOW_OUTCOMES = ['rate_limited', 'too_many_connections', 'delayed', 'paced'] as const;

/** The first two would have refused a connection; `delayed` would have made one wait for its turn; `paced` would have held bytes up. */
export type ShadowOutcome = (typeof SHADOW_OUTCOMES)[number];
