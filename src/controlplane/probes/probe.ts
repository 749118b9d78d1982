/** One look at an upstream server, by the kind of its group's health check. */
import { createSecureContext } from 'node:tls';
import type { HealthCheck } from '../../domain/health-check.ts';
import type { OpeningTls } from '../../shared/upstream-socket.ts';
import { probeHttp } from './http.ts';
import { look, type ProbeResult, type ProbeTarget } from './look.ts';
import { probeSendExpect } from './send-expect.ts';

/** Looks once. Settles soon after `signal` is aborted, if not before, and leaves no socket open. The caller keeps the time. */
export type Probe = (target: ProbeTarget, check: HealthCheck, signal: AbortSignal) => Promise<ProbeResult>;

/** Over real sockets. Never rejects. */
export const probe: Probe = async (target, check, signal) => {
  switch (check.type) {
    case 'none':
      return { ok: true, cause: 'not checked' };
    case 'tcp':
      return probeTcp(target, signal);
    case 'tls':
      return probeTls(target, signal);
    case 'http':
      return probeHttp(target, check, signal);
    case 'grpc': {
      // What speaks HTTP/2 and protobuf is for those who check by it.
      const { probeGrpc } = await import('./grpc.ts');
      return probeGrpc(target, check, signal);
    }
    case 'sendExpect':
      return probeSendExpect(target, check, signal);
  }
};

function probeTcp(target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  const opening = { ...target.opening, tls: undefined };
  return look({ ...target, opening }, signal, (_, settle) => settle({ ok: true, cause: 'connected' }));
}

/** Where connections speak no TLS the handshake is what is looked at, whose certificate it is being nobody's matter. */
function probeTls(target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  const opening = { ...target.opening, tls: target.opening.tls ?? ANYBODYS };
  return look({ ...target, opening }, signal, (_, settle) => settle({ ok: true, cause: 'TLS handshake done' }));
}

const ANYBODYS: OpeningTls = {
  group: '',
  settings: { serverName: undefined, insecureSkipVerify: true },
  context: createSecureContext(),
  alpn: undefined,
};
