import { fixedWindow } from './fixed-window.ts';
import { leakyBucket } from './leaky-bucket.ts';
import type { RateLimiter } from './limiter.ts';
import type { RateRule } from './rate-rule.ts';
import { slidingWindowCounter } from './sliding-window-counter.ts';
import { slidingWindowLog } from './sliding-window-log.ts';
import { tokenBucket } from './token-bucket.ts';

/** The limiter that a rule names. */
export function limiterFor(rate: RateRule): RateLimiter {
  switch (rate.algorithm) {
    case 'fixedWindow':
      return fixedWindow(rate);
    case 'slidingWindowCounter':
      return slidingWindowCounter(rate);
    case 'slidingWindowLog':
      return slidingWindowLog(rate);
    case 'tokenBucket':
      return tokenBucket(rate);
    case 'leakyBucket':
      return leakyBucket(rate);
  }
}
