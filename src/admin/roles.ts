import type { Role } from '../domain/roles.ts';

/** Which role each method needs: THE table. A method that is not in it is refused to everybody. */
export const NEEDED_ROLE: ReadonlyMap<string, Role> = new Map([
  ...methods('lb.admin.v1.AdminService', 'viewer', [
    'GetState',
    'ListTargetGroups',
    'ListUpstreamServers',
    'ListClients',
    'GetActiveConnections',
    'GetDroppedRequests',
    'GetFailedConnections',
    'ListConnections',
    'WatchStats',
    'WatchHealth',
    'WatchConnections',
    'GetLogLevel',
    'Explain',
    'ListCertificates',
    'PlanConfig',
    'ListRevisions',
    'ExportConfig',
  ]),
  ...methods('lb.admin.v1.AdminService', 'operator', [
    'AddUpstreamServer',
    'RemoveUpstreamServer',
    'SetUpstreamServer',
    'CloseConnections',
    'SetLogLevel',
    'ReloadCertificates',
  ]),
  ...methods('lb.admin.v1.AdminService', 'admin', [
    'AddTargetGroup',
    'UpdateTargetGroup',
    'RemoveTargetGroup',
    'AddClient',
    'UpdateClient',
    'RemoveClient',
    'RevokeCertificate',
    'ApplyConfig',
    'RollbackConfig',
    'ListAuditEntries',
  ]),
  ...methods('grpc.health.v1.Health', 'viewer', ['Check', 'List', 'Watch']),
  ...methods('grpc.reflection.v1.ServerReflection', 'viewer', ['ServerReflectionInfo']),
  ...methods('grpc.reflection.v1alpha.ServerReflection', 'viewer', ['ServerReflectionInfo']),
]);

function methods(service: string, role: Role, names: readonly string[]): [string, Role][] {
  return names.map((name) => [`/${service}/${name}`, role]);
}
