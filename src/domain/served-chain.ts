import type { OcspStaple } from './tls-material.ts';

/** A certificate that is served, with its intermediates. */
export interface ServedChain {
  /** A listener's name, or `admin`. */
  readonly usedBy: string;
  readonly file: string;
  readonly certificatePem: string;
  /** undefined: none is configured for it. */
  readonly ocsp: OcspStaple | undefined;
}
