import type { ConnectionRate, LimitAction } from '../model.ts';
import type { RateLimiter } from './limiter.ts';
import { tokenBucket } from './token-bucket.ts';

/**
 * A bucket that holds `burst` connections and leaks one every `windowMs / limit`; an arrival that would make it overflow is refused.
 * This is the leaky bucket as a meter: the Generic Cell Rate Algorithm, ITU-T I.371, with an emission interval of `windowMs / limit`
 * and a tolerance of `burst - 1` intervals. What is in it is what is missing from a token bucket, so the two decide alike.
 *
 * With the action `delay` it is the leaky bucket as a queue: one leaves at each interval, none together, and `burst` is how many may
 * wait, which the one who makes them wait sees to.
 */
export function leakyBucket(rate: Pick<ConnectionRate, 'limit' | 'windowMs' | 'burst'> & { readonly action?: LimitAction }): RateLimiter {
  return tokenBucket(rate.action === 'delay' ? { ...rate, burst: 1 } : rate);
}
