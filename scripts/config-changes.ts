/** What changes each key of the config file while lbd runs. */
import type { AdminServiceService } from '../src/gen/lb/admin/v1/admin.ts';

type Rpc = Capitalize<keyof typeof AdminServiceService>;

/** How a key is changed: by methods of the admin API, or at the next start only. */
export type ChangedBy = readonly Rpc[] | 'restart';

/** By where a key stands; what is said of a place holds for all below it that has no line of its own. */
const CHANGED_BY: Readonly<Record<string, ChangedBy>> = {
  listenAddress: ['ApplyConfig'],
  listeners: ['ApplyConfig'],
  tlsParams: ['ApplyConfig'],
  'tlsParams.certificate': ['ApplyConfig', 'ReloadCertificates'],
  'tlsParams.privateKey': ['ApplyConfig', 'ReloadCertificates'],
  'tlsParams.certificates[]': ['ApplyConfig', 'ReloadCertificates'],
  'tlsParams.caCert': ['ApplyConfig', 'ReloadCertificates'],
  'tlsParams.crl': ['ApplyConfig', 'ReloadCertificates'],
  logLevel: ['SetLogLevel'],
  targetGroups: ['AddTargetGroup', 'RemoveTargetGroup'],
  'targetGroups[]': ['UpdateTargetGroup'],
  'targetGroups[].name': ['AddTargetGroup', 'RemoveTargetGroup'],
  'targetGroups[].upstreamServers': ['AddUpstreamServer', 'RemoveUpstreamServer'],
  'targetGroups[].upstreamServers[]': ['SetUpstreamServer'],
  'targetGroups[].upstreamServers[].address': ['AddUpstreamServer', 'RemoveUpstreamServer'],
  clients: ['AddClient', 'RemoveClient'],
  'clients[]': ['UpdateClient'],
  'clients[].clientId': ['AddClient', 'RemoveClient'],
  revokedCertificates: ['RevokeCertificate'],
  timeouts: 'restart',
  'timeouts.connectTimeout': ['UpdateTargetGroup'],
  'timeouts.retries': ['UpdateTargetGroup'],
  workers: 'restart',
  maxPendingHandshakes: 'restart',
  admin: 'restart',
  metrics: 'restart',
  store: 'restart',
};

/** Of the key at this path, such as `targetGroups[].queue.timeout`. @throws Error when nothing is said of it */
export function changedBy(path: string): ChangedBy {
  const places = Object.keys(CHANGED_BY).filter((place) => path === place || path.startsWith(`${place}.`) || path.startsWith(`${place}[]`));
  const nearest = places.reduce((longest, place) => (place.length > longest.length ? place : longest), '');
  const how = CHANGED_BY[nearest];
  if (how === undefined) throw new Error(`scripts/config-changes.ts does not say what changes ${path}`);
  return how;
}
