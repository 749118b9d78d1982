/** What a connection has to do with a wait, for its departure or for a place. */
export interface Waiting {
  /** The client has left. */
  readonly gone: AbortSignal;
  /** @throws Refusal when the certificate is not trusted any more */
  readonly stillTrusted: () => Promise<void>;
  /** For how many milliseconds it waited, in vain or not. */
  readonly onWaited: (ms: number) => void;
}
