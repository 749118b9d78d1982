/** What a peer of the benchmark is: a program that takes mTLS on one port and passes it on to plain TCP servers. */
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { CertificateFiles } from '../certificates.ts';
import type { Child, Children } from '../children.ts';

/** TLS 1.3 and 1.2 suites that all peers and the client are told: AES-128-GCM, with either kind of certificate. */
export const SUITES = {
  tls13: 'TLS_AES_128_GCM_SHA256',
  tls12: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
} as const;
/** What keys are agreed on with; P-256 is there because TLS 1.2 with a P-256 certificate demands it. */
export const GROUPS = 'X25519:P-256';

const READY_WITHIN_MS = 20_000;

/** Whom a balancer turns away, beside those without a certificate of the CA. */
export type Defence =
  /** Certificates of the CA that are nobody's whom it knows, as soon as the handshake is done. */
  | 'strangers'
  /** Addresses that come more than once a second, before the handshake. */
  | 'addresses';

/** Who lets clients resume sessions: each as it comes; everybody who can; nobody. */
export type Resumption = 'asItComes' | 'everybody' | 'nobody';

export interface Surroundings {
  readonly children: Children;
  /** Of this peer alone; removed with everything else at the end. */
  readonly folder: string;
  readonly certificates: CertificateFiles;
  readonly port: number;
  readonly servers: readonly string[];
  readonly processors: string | undefined;
  readonly resumption: Resumption;
  /** One that the peer has; undefined: none. */
  readonly defence: Defence | undefined;
}

export interface Peer {
  readonly name: string;
  /** What it says of its version; undefined: it is not on this machine. */
  readonly version: () => string | undefined;
  /** Those that it is told here. */
  readonly defences: readonly Defence[];
  /** As it comes, it lets clients resume sessions. */
  readonly resumes: boolean;
  readonly start: (surroundings: Surroundings) => Promise<Child>;
}

/** Resolves when the port takes connections. @throws Error with what the process said, when it ends or takes too long. */
export async function listening(name: string, child: Child, port: number): Promise<Child> {
  const deadline = Date.now() + READY_WITHIN_MS;
  const fail = async (how: string) => {
    await child.end();
    throw new Error(`${name} ${how}: ${child.said().trim()}`);
  };
  const hasEnded = () => child.process.exitCode !== null || child.process.signalCode !== null;
  // Twice: another program may have taken the port, and answered in its place; or the balancer has only tried the port.
  for (let answered = 0; answered < 2; answered = (await accepts(port)) ? answered + 1 : 0) {
    if (hasEnded()) await fail('ended');
    if (Date.now() > deadline) await fail('did not listen in time');
    await wait(20);
  }
  if (hasEnded()) await fail('ended');
  return child;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
