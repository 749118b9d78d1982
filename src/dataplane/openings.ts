/** What the servers of a group are told before the client's bytes: a PROXY protocol header, a TLS handshake of our own. */
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { Requested } from '../domain/authz.ts';
import type { Identity } from '../domain/identity.ts';
import type { TargetGroup, UpstreamTlsMaterial } from '../domain/model.ts';
import { clientTlsTlv, proxyHeaderV1, proxyHeaderV2, TLV, type Tlv, textTlv } from '../domain/proxy-protocol.ts';
import { type Opening, upstreamContext } from '../shared/upstream-socket.ts';
import { Refusal } from './refusal.ts';
import type { Source } from './source.ts';

/** Who the servers are told of. */
export interface Presented {
  readonly source: Source;
  readonly identity: Identity | undefined;
  readonly requested: Requested;
  readonly downstream: Socket;
  /** The connection's id; asked for only when it is told. */
  id(): string;
}

/** Holds the TLS material of the groups that speak TLS to their servers. */
export class Openings {
  readonly #contexts = new Map<string, SecureContext>();

  constructor(material: ReadonlyMap<string, UpstreamTlsMaterial>) {
    this.use(material);
  }

  /** Connections to the servers of these groups use this material from now on. */
  use(material: ReadonlyMap<string, UpstreamTlsMaterial>): void {
    for (const [group, files] of material) this.#contexts.set(group, upstreamContext(files));
  }

  /** @throws Refusal `upstream_tls_failed` when the group's material is not here */
  of({ name, sendProxyProtocol, upstreamTls }: TargetGroup, client: Presented): Opening {
    const { requested } = client;
    const header = sendProxyProtocol === undefined ? undefined : headerFor(client, sendProxyProtocol);
    if (upstreamTls === undefined) return { header, tls: undefined, lends: true };
    const context = this.#contexts.get(name);
    if (context === undefined) throw new Refusal('upstream_tls_failed', `${name} has no TLS material in this worker`);
    return { header, tls: { group: name, settings: upstreamTls, context, alpn: requested.alpn } };
  }
}

function headerFor(client: Presented, version: NonNullable<TargetGroup['sendProxyProtocol']>): Uint8Array {
  const { address, destination } = client.source;
  const ends = { source: address, destination: destination() };
  return version === 'v1' ? proxyHeaderV1(ends) : proxyHeaderV2(ends, extensionsFor(client));
}

function extensionsFor({ identity, requested: { sni, alpn }, downstream, id }: Presented): readonly Tlv[] {
  return [
    ...(alpn === undefined ? [] : [textTlv(TLV.alpn, alpn)]),
    ...(sni === undefined ? [] : [textTlv(TLV.authority, sni)]),
    textTlv(TLV.uniqueId, id()),
    ...(downstream instanceof TLSSocket ? [clientTlsOf(downstream, identity)] : []),
  ];
}

function clientTlsOf(downstream: TLSSocket, identity: Identity | undefined): Tlv {
  return clientTlsTlv({
    version: downstream.getProtocol() ?? '',
    cipher: downstream.getCipher().standardName,
    commonName: identity?.commonName,
  });
}
