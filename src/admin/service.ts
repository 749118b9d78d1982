/** lb.admin.v1.AdminService: the methods by topic, put together. */
import type { AdminServiceServer } from '../gen/lb/admin/v1/admin.ts';
import type { MayCall } from './authorisation.ts';
import type { Changes } from './changes.ts';
import type { AdminConnections } from './connections.ts';
import type { AdminContext } from './context.ts';
import type { LockoutGuard } from './lockout.ts';
import { removeUpstreamServer } from './remove-upstream-server.ts';
import { auditMethods } from './service-audit.ts';
import { certificateMethods } from './service-certificates.ts';
import { changeMethods } from './service-changes.ts';
import { configMethods } from './service-config.ts';
import { connectionMethods } from './service-connections.ts';
import { explainMethods } from './service-explain.ts';
import { readMethods } from './service-reads.ts';
import { updateMethods } from './service-updates.ts';
import { withdrawalMethods } from './service-withdrawals.ts';
import { watchConnections } from './watch-connections.ts';
import { watchHealth } from './watch-health.ts';
import { watchStats } from './watch-stats.ts';

/** How administrators stand: what they may, and what would shut them out. */
export interface Standing {
  readonly guard: LockoutGuard;
  readonly connections: Pick<AdminConnections, 'from'>;
  readonly mayCall: MayCall;
}

/** `stopping` ends what the methods do in the background. */
export function adminService(
  context: AdminContext,
  changes: Changes,
  { guard, connections, mayCall }: Standing,
  stopping: AbortSignal,
): AdminServiceServer {
  return {
    ...readMethods(context),
    ...changeMethods(context, changes, guard),
    ...updateMethods(context, changes),
    ...withdrawalMethods(context, changes, guard),
    ...connectionMethods(context, changes),
    ...configMethods(context, changes, guard, mayCall),
    ...auditMethods(context),
    ...explainMethods(context),
    ...certificateMethods(context, changes, connections),
    removeUpstreamServer: removeUpstreamServer(context, changes, stopping),
    watchStats: watchStats(context),
    watchHealth: watchHealth(context),
    watchConnections: watchConnections(context),
  };
}
