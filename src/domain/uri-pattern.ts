/**
 * URIs with wildcards in the path, for SPIFFE IDs (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md, section 2): `*`
 * stands for one segment, `**` for one or more. What a wildcard stands for is plain: a URI that has empty or dot segments, percent
 * signs or anything else that a SPIFFE ID has not matches no pattern, so that nothing can be read in two ways.
 */

/** A URI, or a pattern: its segments then include `*`. */
interface Segments {
  /** Scheme and trust domain, lower-case: `spiffe://example.org`. */
  readonly origin: string;
  readonly before: readonly string[];
  /** What follows `**`; undefined: there is none. */
  readonly after: readonly string[] | undefined;
}

export type UriPattern = Segments;

/** Of a SPIFFE ID, in bytes. */
const LONGEST = 2048;
const URI = /^(?<origin>[a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+)(?<path>\/.+)$/i;
const PLAIN_SEGMENT = /^(?!\.{1,2}$)[\w.-]+$/;

/** Whether the text is meant as a pattern. */
export function hasWildcard(uri: string): boolean {
  return uri.includes('*');
}

/** Reads a pattern, or says in one sentence what is wrong with it. */
export function parseUriPattern(text: string): UriPattern | { readonly problem: string } {
  const { origin, path } = URI.exec(text)?.groups ?? {};
  if (origin === undefined || path === undefined)
    return problem(text, 'is not a URI with wildcards in its path alone, such as spiffe://example.org/team/*');
  const segments = path.slice(1).split('/');
  for (const segment of segments) {
    if (segment === '*' || segment === '**' || PLAIN_SEGMENT.test(segment)) continue;
    if (hasWildcard(segment))
      return problem(text, `has a wildcard for a part of the segment "${segment}"; * stands for a whole segment, ** for one or more`);
    return problem(text, `has the segment "${segment}"; beside a wildcard, segments are of letters, digits and . _ - and not . or ..`);
  }
  const many = segments.indexOf('**');
  if (many !== segments.lastIndexOf('**')) return problem(text, 'has ** more than once');
  const [before, after] = many === -1 ? [segments, undefined] : [segments.slice(0, many), segments.slice(many + 1)];
  return { origin: origin.toLowerCase(), before, after };
}

function problem(text: string, what: string): { readonly problem: string } {
  return { problem: `"${text}" ${what}` };
}

/** True when the certificate's URI is one that the pattern stands for. */
export function patternTakes(pattern: UriPattern, uri: string): boolean {
  const plain = plainUri(uri);
  return plain !== undefined && takesIn(pattern, plain);
}

/** True when `wide` stands for every URI that `narrow` does. */
export function takesIn(wide: UriPattern, narrow: Segments): boolean {
  return patternKey(wide) === keyAs(shapeOf(wide), narrow);
}

/** True when there is a URI that both stand for. */
export function intersect(a: UriPattern, b: UriPattern): boolean {
  if (a.origin !== b.origin) return false;
  if (a.after === undefined && b.after === undefined) return a.before.length === b.before.length && agree(a.before, b.before);
  // Where one has ** the other may have anything: what counts is what stands at either end of both.
  const isLongEnough =
    (a.after !== undefined || a.before.length > b.before.length + (b.after?.length ?? 0)) &&
    (b.after !== undefined || b.before.length > a.before.length + (a.after?.length ?? 0));
  return isLongEnough && agree(a.before, b.before) && agree((a.after ?? a.before).toReversed(), (b.after ?? b.before).toReversed());
}

/** As far as both go. */
function agree(a: readonly string[], b: readonly string[]): boolean {
  return a.every((segment, index) => {
    const other = b[index];
    return other === undefined || segment === '*' || other === '*' || segment === other;
  });
}

/** The URI's segments; undefined for one that no pattern takes. */
export function plainUri(uri: string): Segments | undefined {
  if (uri.length > LONGEST) return undefined;
  const { origin, path } = URI.exec(uri)?.groups ?? {};
  const segments = path?.slice(1).split('/') ?? [];
  if (origin === undefined || !segments.every((segment) => PLAIN_SEGMENT.test(segment))) return undefined;
  return { origin: origin.toLowerCase(), before: segments, after: undefined };
}

/**
 * Where a pattern has wildcards: `L*L` for /a/X/b, `L~*L` for /a/XX/X/b (X for a star). There are few shapes however many patterns there are, and
 * a URI is looked up once for each: tuple space search (Srinivasan, Suri, Varghese: Packet Classification using Tuple Space Search, 1999).
 */
export function shapeOf({ before, after }: UriPattern): string {
  const marks = (segments: readonly string[]) => segments.map((segment) => (segment === '*' ? '*' : 'L')).join('');
  return after === undefined ? marks(before) : `${marks(before)}~${marks(after)}`;
}

/** What tells a pattern from others. */
export function patternKey({ origin, before, after }: UriPattern): string {
  return after === undefined ? `${origin}/${before.join('/')}` : `${origin}/${[...before, '**', ...after].join('/')}`;
}

/** The key of the one pattern of this shape that takes this URI (or each one of this pattern) in; undefined when none can. */
export function keyAs(shape: string, { origin, before, after }: Segments): string | undefined {
  const [front = '', back] = shape.split('~');
  if (back === undefined) {
    if (after !== undefined || before.length !== front.length) return undefined;
    return patternKey({ origin, before: masked(front, before), after: undefined });
  }
  const tail = after ?? before;
  if (after === undefined ? before.length <= front.length + back.length : before.length < front.length || after.length < back.length)
    return undefined;
  return patternKey({
    origin,
    before: masked(front, before.slice(0, front.length)),
    after: masked(back, tail.slice(tail.length - back.length)),
  });
}

function masked(marks: string, segments: readonly string[]): readonly string[] {
  return segments.map((segment, index) => (marks[index] === '*' ? '*' : segment));
}
