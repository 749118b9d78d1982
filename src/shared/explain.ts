/** A dry run of one connection: the question, and what would become of it. */
import type { Identity } from '../domain/identity.ts';
import type { Revision } from '../domain/model.ts';
import type { RefusalReason } from '../domain/reasons.ts';
import type { HealthCode } from './memory/layout.ts';

/**
 * Whose connection is explained: a certificate to judge (PEM, the leaf first, then intermediates), or what one would prove; or
 * nobody's, for a plain listener, which knows clients by where they come from.
 */
export type ExplainedPeer =
  | { readonly kind: 'certificate'; readonly chainPem: readonly [string, ...string[]] }
  | { readonly kind: 'identity'; readonly identity: Omit<Identity, 'twins'> }
  | { readonly kind: 'nobody' };

export interface ExplainQuestion {
  readonly peer: ExplainedPeer;
  /** Where it comes from, as of cidr.ts; undefined: from wherever it would be let in. */
  readonly source?: bigint | undefined;
  /** The name of a listener that there is. */
  readonly listener: string;
  /** Lower-case. */
  readonly sni: string | undefined;
  readonly alpn: string | undefined;
}

export interface ExplainedStep {
  readonly name:
    | 'address'
    | 'serverCertificate'
    | 'certificate'
    | 'identity'
    | 'client'
    | 'route'
    | 'connections'
    | 'rate'
    | 'bandwidth'
    | 'server';
  readonly passed: boolean;
  readonly detail: string;
}

export interface ExplainedCandidate {
  readonly server: string;
  /** A connection that came now might go to it. */
  readonly usable: boolean;
  readonly why: string;
  readonly health: HealthCode;
  readonly active: number;
  readonly weight: number;
}

/** What a connection would come to if it came now. */
export interface Explanation {
  readonly revision: Revision;
  /** undefined: it would be served, if a server answers. */
  readonly refusal: RefusalReason | undefined;
  /** In order; none after the one that refuses. */
  readonly steps: readonly ExplainedStep[];
  readonly clientId: string | undefined;
  readonly targetGroup: string | undefined;
  readonly candidates: readonly ExplainedCandidate[];
  /** The server that it would be sent to; undefined: none, or it would wait for one first. */
  readonly pick: string | undefined;
  /** No source was asked about, and the client is let in from this network only. */
  readonly onlyFrom: string | undefined;
}
