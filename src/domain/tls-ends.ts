/** When what is served or shown, or what others are held against, ends; and when that is worth a line in the log of a running lbd. */

/** With `upstream_`: of what a target group's servers are shown or held against. */
export type TlsEndKind = 'certificate' | 'ocsp_response' | 'ca' | 'crl' | 'upstream_certificate' | 'upstream_ca';

/** The first end of what one TLS file holds; of revocation lists, one for each CA. */
export interface TlsEnd {
  /** A listener's name, or `admin`; for what servers are shown or held against, their target group's. */
  readonly usedBy: string;
  readonly kind: TlsEndKind;
  readonly file: string;
  /** Of revocation lists: the CA that has none from then on, as people are told of it. */
  readonly authority?: string;
  /** Milliseconds since 1970. */
  readonly endsAtMs: number;
}

const DAY_MS = 86_400_000;
/** Responses and lists are often made for a week; a day is what it takes to notice and fetch one. */
const REMINDED_BEFORE_MS: Readonly<Record<TlsEndKind, number>> = {
  certificate: 7 * DAY_MS,
  ca: 7 * DAY_MS,
  ocsp_response: DAY_MS,
  crl: DAY_MS,
  upstream_certificate: 7 * DAY_MS,
  upstream_ca: 7 * DAY_MS,
};

const CONSEQUENCE: Readonly<Record<TlsEndKind, string>> = {
  certificate: 'clients refuse it from then on; renew it and reload',
  ca: 'every client of that CA is refused from then on; renew it and reload',
  ocsp_response: 'it is not stapled from then on; fetch a new one and reload',
  crl: 'every client of that CA is refused from then on; have the CA write a new one and reload',
  upstream_certificate: 'servers that ask for it refuse it from then on; renew it and reload',
  upstream_ca: 'every server of that CA is refused from then on; renew it and reload',
};

const NAME: Readonly<Record<TlsEndKind, string>> = {
  certificate: 'a certificate',
  ca: 'a CA certificate',
  ocsp_response: 'an OCSP response',
  crl: 'the last revocation list',
  upstream_certificate: 'a certificate for upstream servers',
  upstream_ca: 'a CA certificate of upstream servers',
};

/** The line for it, at `nowMs`. */
export function endReminder({ kind, authority, endsAtMs }: TlsEnd, nowMs: number): string {
  const name = authority === undefined ? NAME[kind] : `${NAME[kind]} of ${authority}`;
  const when = new Date(endsAtMs).toISOString();
  return `${name} ${endsAtMs > nowMs ? 'ends' : 'ended'} at ${when}: ${CONSEQUENCE[kind]}`;
}

/** The first end of each file and use, whichever CA's it is. */
export function firstEnds(ends: readonly TlsEnd[]): readonly TlsEnd[] {
  const first = new Map<string, TlsEnd>();
  for (const end of ends) {
    const { usedBy, kind, file } = end;
    const key = keyOf({ usedBy, kind, file });
    const known = first.get(key);
    if (known === undefined || end.endsAtMs < known.endsAtMs) first.set(key, end);
  }
  return [...first.values()];
}

interface Remembered {
  readonly endsAtMs: number;
  /** undefined: there was nothing to tell yet. */
  readonly toldAtMs: number | undefined;
}

/**
 * Reminds of ends: when one is near, once a day from then on, and when it has come. What is near when it is first seen is told by whoever
 * reads the file.
 */
export class EndReminders {
  #remembered: ReadonlyMap<string, Remembered> = new Map();
  #lookedAtMs: number | undefined;

  /** Those of `ends`, which are all there are, that are due at `nowMs`. */
  due(ends: readonly TlsEnd[], nowMs: number): readonly TlsEnd[] {
    const remembered = new Map<string, Remembered>();
    const due: TlsEnd[] = [];
    for (const end of ends) {
      const { endsAtMs } = end;
      const toldAtMs = this.#toldAtMs(end, nowMs);
      const isDue = isNear(end, nowMs) && isDueAgain({ endsAtMs, toldAtMs }, nowMs);
      if (isDue) due.push(end);
      remembered.set(keyOf(end), { endsAtMs, toldAtMs: isDue ? nowMs : toldAtMs });
    }
    this.#remembered = remembered;
    this.#lookedAtMs = nowMs;
    return due;
  }

  #toldAtMs(end: TlsEnd, nowMs: number): number | undefined {
    const before = this.#remembered.get(keyOf(end));
    if (before?.endsAtMs === end.endsAtMs) return before.toldAtMs;
    // Its file was read after the last look, or just now for the first one: if it was near, that told it.
    return isNear(end, this.#lookedAtMs ?? nowMs) ? nowMs : undefined;
  }
}

function keyOf({ usedBy, kind, file, authority = '' }: Omit<TlsEnd, 'endsAtMs'>): string {
  return [usedBy, kind, file, authority].join('\0');
}

function isNear({ kind, endsAtMs }: TlsEnd, nowMs: number): boolean {
  return endsAtMs - nowMs <= REMINDED_BEFORE_MS[kind];
}

function isDueAgain({ endsAtMs, toldAtMs = Number.NEGATIVE_INFINITY }: Remembered, nowMs: number): boolean {
  return nowMs - toldAtMs >= DAY_MS || (toldAtMs < endsAtMs && endsAtMs <= nowMs);
}
