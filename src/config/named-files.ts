/** Which files TLS settings name, and whether settings name them as others do. */
import type { Snapshot, UpstreamTls } from '../domain/model.ts';
import type { TlsParams } from '../domain/tls-material.ts';

type Named = Pick<Snapshot, 'listeners' | 'targetGroups'>;

/** Every file that this state and the settings of the admin API name. */
export function filesNamedBy({ listeners, targetGroups }: Named, admin: TlsParams): ReadonlySet<string> {
  const files = [
    ...[admin, ...listeners.map(({ tls }) => tls)].flatMap((tls) => (tls === undefined ? [] : listenerFiles(tls))),
    ...[...targetGroups.values()].flatMap(({ upstreamTls }) => (upstreamTls === undefined ? [] : upstreamFiles(upstreamTls))),
  ];
  return new Set(files.filter((file) => file !== undefined));
}

/** The listeners and groups of `next`, in words, whose TLS files are not together those of one of `state`. */
export function namersOfOtherFiles(next: Named, state: Named): readonly string[] {
  const listeners = new Set(state.listeners.map(({ tls }) => tls && listenerFilesKey(tls)));
  const groups = new Set([...state.targetGroups.values()].map(({ upstreamTls }) => upstreamTls && keyOf(upstreamFiles(upstreamTls))));
  return [
    ...next.listeners
      .filter(({ tls }) => tls !== undefined && !listeners.has(listenerFilesKey(tls)))
      .map(({ name }) => `listener "${name}"`),
    ...[...next.targetGroups.values()]
      .filter(({ upstreamTls }) => upstreamTls !== undefined && !groups.has(keyOf(upstreamFiles(upstreamTls))))
      .map(({ name }) => `target group "${name}"`),
  ];
}

/** Equal for settings that name the same files. */
export function listenerFilesKey(tls: TlsParams): string {
  return keyOf(listenerFiles(tls));
}

/** In one order: equal lists are equal settings. */
function listenerFiles({ certificate, privateKey, ocspResponse, certificates, caCert, crl }: TlsParams): (string | undefined)[] {
  const byName = certificates.flatMap((pair) => [pair.certificate, pair.privateKey, pair.ocspResponse]);
  return [certificate, privateKey, ocspResponse, caCert, crl, ...byName];
}

function upstreamFiles({ ca, clientCertificate }: UpstreamTls): (string | undefined)[] {
  return [ca, clientCertificate?.certificate, clientCertificate?.privateKey];
}

function keyOf(files: readonly (string | undefined)[]): string {
  return JSON.stringify(files);
}
