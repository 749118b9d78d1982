/**
 * A whole number below 2^32 for a text: FNV-1a over its UTF-16 code units, finished as MurmurHash3 does, so that texts which differ in one
 * character differ everywhere. It is the same in every thread, on every machine and after every restart.
 */
export function hashText(text: string, seed = 0): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return mix(hash);
}

/** Two numbers below 2^32 into one. */
export function hashPair(one: number, other: number): number {
  return mix(Math.imul(one ^ 0x9e3779b9, 0x85ebca6b) ^ other);
}

function mix(number: number): number {
  let hash = number;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
