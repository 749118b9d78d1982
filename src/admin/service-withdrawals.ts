/** The methods that may take a permission away: the state first, then the connections that it does not allow any more. */
import { X509Certificate } from 'node:crypto';
import { status as Code } from '@grpc/grpc-js';
import type { ConnectionSelector } from '../controlplane/connection-list.ts';
import { DomainError } from '../domain/errors.ts';
import type { Client, Snapshot } from '../domain/model.ts';
import type { Command } from '../domain/state.ts';
import { unroutableClients } from '../domain/unroutable.ts';
import { type CertificateInUse, REVOKED_CA, uselessRevocation } from '../domain/useless-revocation.ts';
import * as proto from '../gen/lb/admin/v1/admin.ts';
import type { Changes } from './changes.ts';
import type { AdminContext } from './context.ts';
import { type Closing, clientFrom, closingFrom } from './convert.ts';
import { fingerprintFrom } from './convert-values.ts';
import { AdminError } from './errors.ts';
import { fieldsMeant } from './field-mask.ts';
import type { LockoutGuard } from './lockout.ts';
import { endedMessage } from './replies.ts';
import { unary } from './rpc.ts';

type Withdrawals = Pick<proto.AdminServiceServer, 'updateClient' | 'removeClient' | 'revokeCertificate'>;

export function withdrawalMethods(
  { authority, certificates, connections, drainTimeoutMs, log }: AdminContext,
  changes: Changes,
  guard: LockoutGuard,
): Withdrawals {
  // A repeated request ends what is left as well: the one before may have died between the change and this.
  const enforced = async (revision: number, { mode, deadlineMs }: Closing, anew?: ConnectionSelector) => ({
    revision: BigInt(revision),
    ...endedMessage(await connections.enforce(mode, deadlineMs, anew)),
  });
  return {
    updateClient: unary(log, async (request, caller) => {
      let warnings: readonly string[] = [];
      const { revision, unchanged, closing, clientId } = await changes.recorded('UpdateClient', caller, async () => {
        const closing = closingFrom(request, drainTimeoutMs);
        const updated = clientUpdateFrom(request);
        const command = (current: Snapshot): Command => {
          const client = updated(current);
          // A client that is not there is refused by apply, which says so best.
          if (current.clients.has(client.clientId))
            warnings = [...guard.checkClient(client, current, caller), ...unroutableClients([client], current.listeners)];
          return { kind: 'updateClient', client };
        };
        return { ...(await changes.execute(command, caller, request, 'client')), closing, clientId: request.client?.clientId ?? '' };
      });
      // Who asks again for what is so already wants its connections ended this way instead.
      const ended = await enforced(revision, closing, unchanged ? { clientId } : undefined);
      return { ...ended, warnings: [...warnings], nothingToChange: unchanged };
    }),

    removeClient: unary(log, async (request, caller) => {
      const { revision, closing } = await changes.recorded('RemoveClient', caller, async () => {
        const closing = closingFrom(request, drainTimeoutMs);
        const command = { kind: 'removeClient', clientId: request.clientId } as const;
        return { ...(await changes.execute(command, caller, request)), closing };
      });
      return enforced(revision, closing);
    }),

    revokeCertificate: unary(log, async (request, caller) => {
      const { revision, unchanged, closing, fingerprint } = await changes.recorded('RevokeCertificate', caller, async () => {
        const closing = closingFrom(request, drainTimeoutMs);
        const { fingerprint, isCa } = certificateIn(request);
        if (!request.allowSelf) guard.refuseOwnCertificate(fingerprint, caller);
        refuseUseless(fingerprint, isCa, certificates.inUse());
        const revocation = { fingerprint, comment: request.comment, atMs: Date.now() };
        return { ...(await changes.execute({ kind: 'revokeCertificate', revocation }, caller, request)), closing, fingerprint };
      });
      const sinceMs = unchanged ? authority.snapshot.revocations.get(fingerprint)?.atMs : undefined;
      return {
        ...(await enforced(revision, closing, unchanged ? { fingerprint } : undefined)),
        // 0 stands for a time that nobody wrote down.
        alreadyRevokedAt: sinceMs === undefined || sinceMs === 0 ? undefined : new Date(sinceMs),
      };
    }),
  };
}

const CLIENT_FIELDS = [
  'match',
  'allowed_target_groups',
  'limits',
  'limits.connection_rate',
  'limits.concurrent_connections',
  'limits.bandwidth',
  'limits.shadow',
] as const;

/** @throws DomainError `invalid` */
function clientUpdateFrom({ client, updateMask }: proto.UpdateClientRequest): (current: Snapshot) => Client {
  const given = client ?? proto.Client.create();
  const fields = fieldsMeant(
    updateMask,
    {
      match: given.match !== undefined,
      allowed_target_groups: given.allowedTargetGroups.length > 0,
      // Without a mask each limit counts by itself, so that setting one does not lift the other.
      limits: false,
      'limits.connection_rate': given.limits?.connectionRate !== undefined,
      'limits.concurrent_connections': (given.limits?.concurrentConnections ?? 0) > 0,
      'limits.bandwidth': given.limits?.bandwidth !== undefined,
      'limits.shadow': given.limits?.shadow === true,
    },
    CLIENT_FIELDS,
  );
  const rate = fields.has('limits') || fields.has('limits.connection_rate');
  const concurrent = fields.has('limits') || fields.has('limits.concurrent_connections');
  const bandwidth = fields.has('limits') || fields.has('limits.bandwidth');
  const shadow = fields.has('limits') || fields.has('limits.shadow');
  // What is not meant is not looked at.
  const wanted = clientFrom(
    {
      clientId: given.clientId,
      match: fields.has('match') ? given.match : undefined,
      allowedTargetGroups: given.allowedTargetGroups,
      limits: {
        connectionRate: rate ? given.limits?.connectionRate : undefined,
        concurrentConnections: given.limits?.concurrentConnections ?? 0,
        bandwidth: bandwidth ? given.limits?.bandwidth : undefined,
        shadow: given.limits?.shadow ?? false,
      },
    },
    'client',
  );
  return (current) => {
    const before = current.clients.get(wanted.clientId) ?? wanted;
    return {
      clientId: before.clientId,
      match: fields.has('match') ? wanted.match : before.match,
      allowedTargetGroups: fields.has('allowed_target_groups') ? wanted.allowedTargetGroups : before.allowedTargetGroups,
      limits: {
        connectionRate: rate ? wanted.limits.connectionRate : before.limits.connectionRate,
        concurrentConnections: concurrent ? wanted.limits.concurrentConnections : before.limits.concurrentConnections,
        bandwidth: bandwidth ? wanted.limits.bandwidth : before.limits.bandwidth,
        shadow: shadow ? wanted.limits.shadow : before.limits.shadow,
      },
    };
  };
}

/** @throws AdminError `CA_CERTIFICATE`, `SERVED_CERTIFICATE` */
function refuseUseless(fingerprint: string, isCa: boolean, inUse: readonly CertificateInUse[]): void {
  const useless = uselessRevocation(fingerprint, inUse) ?? (isCa ? { role: 'ca', problem: REVOKED_CA } : undefined);
  if (useless === undefined) return;
  const reason = useless.role === 'ca' ? 'CA_CERTIFICATE' : 'SERVED_CERTIFICATE';
  throw new AdminError(Code.FAILED_PRECONDITION, reason, useless.problem);
}

/** @throws DomainError `invalid` */
function certificateIn({ certificateId }: proto.RevokeCertificateRequest): { readonly fingerprint: string; readonly isCa: boolean } {
  if (certificateId?.$case === 'fingerprint') return { fingerprint: fingerprintFrom(certificateId.value, 'fingerprint'), isCa: false };
  if (certificateId === undefined) throw new DomainError('invalid', 'fingerprint', 'a fingerprint or a certificate is required');
  try {
    const { fingerprint256, ca } = new X509Certificate(certificateId.value);
    return { fingerprint: fingerprintFrom(fingerprint256, 'certificate'), isCa: ca };
  } catch {
    throw new DomainError('invalid', 'certificate', 'this is not a certificate in PEM');
  }
}
