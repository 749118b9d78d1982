/** A revocation list that certificates are held against. Times are milliseconds since 1970. */
export interface ListInUse {
  /** A listener's name, or `admin`. */
  readonly usedBy: string;
  readonly file: string;
  /** The CA whose list it is: `CN=Root CA, O=Example`. */
  readonly issuer: string;
  readonly thisUpdateMs: number;
  /** undefined: it has no end. */
  readonly nextUpdateMs: number | undefined;
  /** How many certificates it revokes. */
  readonly entries: number;
}
