/** Small readers that turn unknown data into typed data, or say where it is not what it should be. */

/** Gives `value` back with its type. @throws DecodeError naming the place `at`. */
export type Decode<T> = (value: unknown, at: string) => T;

export class DecodeError extends Error {
  constructor(at: string, expected: string, options?: ErrorOptions) {
    super(`${at}: expected ${expected}`, options);
    this.name = 'DecodeError';
  }
}

export const text: Decode<string> = (value, at) => {
  if (typeof value !== 'string') throw new DecodeError(at, 'a text');
  return value;
};

/** A whole number from 0 to 2^53 - 1. */
export const whole: Decode<number> = (value, at) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new DecodeError(at, 'a whole number');
  return value;
};

export const flag: Decode<boolean> = (value, at) => {
  if (typeof value !== 'boolean') throw new DecodeError(at, 'true or false');
  return value;
};

export function oneOf<const T extends string>(values: readonly T[]): Decode<T> {
  return (value, at) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw new DecodeError(at, `one of ${values.join(', ')}`);
    return found;
  };
}

/** A field that JSON leaves out when it is undefined. */
export function optional<T>(decode: Decode<T>): Decode<T | undefined> {
  return (value, at) => (value === undefined ? undefined : decode(value, at));
}

/** A field that an older version did not write, and what it stands for then. */
export function orElse<T>(decode: Decode<T>, missing: T): Decode<T> {
  return (value, at) => (value === undefined ? missing : decode(value, at));
}

export function list<T>(decode: Decode<T>): Decode<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw new DecodeError(at, 'a list');
    return value.map((item: unknown, index) => decode(item, `${at}[${index}]`));
  };
}

/** An object with these fields and no others. Every field is present in the result, as undefined where it was left out. */
export function object<T extends object>(fields: { readonly [K in keyof T]-?: Decode<T[K]> }): Decode<T> {
  const decoders = Object.entries<Decode<unknown>>(fields);
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DecodeError(at, 'an object');
    const given: Readonly<Record<string, unknown>> = { ...value };
    for (const key of Object.keys(given))
      if (!Object.hasOwn(fields, key)) throw new DecodeError(at, `no field ${JSON.stringify(key.slice(0, 80))}`);
    const result: Record<string, unknown> = {};
    for (const [key, decode] of decoders) result[key] = decode(given[key], `${at}.${key}`);
    return result as T; // each field of T has just been decoded to its type
  };
}
