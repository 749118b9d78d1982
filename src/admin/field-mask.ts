import { DomainError } from '../domain/errors.ts';

/**
 * The fields that an update is about: those that the mask names, or, when it names none, those that are set. Paths are as in
 * the .proto files.
 * @throws DomainError `invalid` for a path that is not known, and when there is nothing to change
 */
export function fieldsMeant<F extends string>(
  mask: readonly string[] | undefined,
  isSet: Readonly<Record<F, boolean>>,
  known: readonly F[],
): ReadonlySet<F> {
  const expected = `expected some of ${known.join(', ')}`;
  if (mask === undefined || mask.length === 0) {
    const set = known.filter((field) => isSet[field]);
    if (set.length === 0) throw new DomainError('invalid', 'updateMask', `nothing is set and the mask names nothing; ${expected}`);
    return new Set(set);
  }
  return new Set(
    mask.map((path) => {
      const field = known.find((each) => each === path);
      if (field === undefined) throw new DomainError('invalid', 'updateMask', `"${path}" cannot be updated; ${expected}`);
      return field;
    }),
  );
}
