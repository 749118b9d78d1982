/**
 * What the handshake would say of a client certificate, from the certificate alone. OpenSSL judges a chain when the client's
 * Certificate message arrives, before it asks for a proof that the client has the private key: so the listener's own TLS settings are
 * handed a client that sends the chain in clear, as TLS 1.2 does, and breaks off there.
 */
import { Duplex } from 'node:stream';
import { createServer, type TLSSocket } from 'node:tls';
import type { TlsMaterial } from '../domain/tls-material.ts';
import { verificationErrorOf } from '../shared/hidden-node.ts';
import type { CertificateChain } from './certificate-chain.ts';
import { clientThatOnlyPresents } from './presenting-client.ts';
import { Refusal } from './refusal.ts';
import { contextOptions } from './server-contexts.ts';
import { describe, serverOptions, untrusted } from './tls.ts';

/** For the listeners that offer TLS 1.3 alone: one of them for each kind of server key. */
const SUITES = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256';

/** Says why a client that presents this chain would be refused; undefined: the certificate is good. One question after the other. */
export type CertificateJudge = (chain: CertificateChain) => Promise<Refusal | undefined>;

/** Why a client that presents this chain would be refused now; undefined: the certificate is good. */
export function certificateVerdict(chain: CertificateChain, material: TlsMaterial): Promise<Refusal | undefined> {
  return certificateJudge(material)(chain);
}

/** A judge that reads the CA and the revocation list once for many questions. */
export function certificateJudge(material: TlsMaterial): CertificateJudge {
  const judge = createServer({
    ...contextOptions({ ...material, minVersion: 'TLSv1.2', ciphers: `${material.ciphers}:${SUITES}` }),
    ...serverOptions([]),
  });
  return async (chain) => {
    const wire = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const { promise, resolve, reject } = Promise.withResolvers<Refusal | undefined>();
    judge.once('tlsClientError', (error, socket) => {
      try {
        resolve(verdictIn(socket, error, chain, material));
      } catch (cause) {
        reject(cause);
      }
    });
    judge.emit('connection', wire);
    wire.push(clientThatOnlyPresents(chain.map(({ raw }) => raw)));
    wire.push(null);
    try {
      return await promise;
    } finally {
      wire.destroy();
    }
  };
}

function verdictIn(socket: TLSSocket, error: Error, chain: CertificateChain, material: TlsMaterial): Refusal | undefined {
  // Without a certificate it has not come to a verdict: the message itself was refused.
  if (socket.getPeerX509Certificate() === undefined) return new Refusal('handshake_failed', describe(error));
  const problem = verificationProblem(socket);
  return problem === undefined ? undefined : untrusted(problem, chain, material);
}

/** The code that the chain was refused with; undefined: it is good. */
function verificationProblem(socket: TLSSocket): string | undefined {
  const problem = verificationErrorOf(socket);
  if (problem === undefined) {
    throw new Error(`this Node.js (${process.version}) does not say how a certificate was judged before the handshake is complete`);
  }
  if (problem === null) return undefined;
  return problem instanceof Error && 'code' in problem ? String(problem.code) : String(problem);
}
