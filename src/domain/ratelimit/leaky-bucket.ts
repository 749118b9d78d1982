import type { RateLimiter } from './limiter.ts';
import type { RateRule } from './rate-rule.ts';
import { tokenBucket } from './token-bucket.ts';

/**
 * A bucket that holds `burst` connections and leaks one every `windowMs / limit`; an arrival that would make it overflow is refused.
 * This is the leaky bucket as a meter: the Generic Cell Rate Algorithm, ITU-T I.371, with an emission interval of `windowMs / limit`
 * and a tolerance of `burst - 1` intervals. What is in it is what is missing from a token bucket, so the two decide alike.
 */
export function leakyBucket(rate: Pick<RateRule, 'limit' | 'windowMs' | 'burst'>): RateLimiter {
  return tokenBucket(rate);
}
