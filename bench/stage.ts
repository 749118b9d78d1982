/** A balancer on stage: a peer that runs, with the certificates, servers and load it is measured with. */

import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { freePort } from '../test/support/free-port.ts';
import type { CertificateFiles } from './certificates.ts';
import type { Child, Children, Pinning } from './children.ts';
import type { Load, Servers } from './load.ts';
import type { Target, TlsVersion } from './messages.ts';
import type { Defence, Peer, Resumption, Surroundings } from './peers/peer.ts';

/** What all balancers of a benchmark share. */
export interface Stage {
  readonly children: Children;
  readonly pinning: Pinning;
  readonly folder: string;
  readonly load: Load;
  readonly servers: Servers;
  readonly warn: (message: string) => void;
  /** Told what goes on. */
  readonly say: (line: string) => void;
}

/** A balancer that takes connections. */
export interface Balancer {
  readonly name: string;
  readonly pid: number;
  readonly target: (version: TlsVersion, who?: Who) => Target;
  readonly end: () => Promise<void>;
}

/** Whose certificate the load has. */
export type Who = 'client' | 'stranger';

export interface Casting {
  readonly certificates: CertificateFiles;
  readonly resumption: Resumption;
  /** The stage's servers unless told. */
  readonly servers?: readonly string[];
  /** None unless told. */
  readonly defence?: Defence;
}

/** Starts a balancer; `start` is the peer's own unless told. @throws Error when it does not come up. */
export async function bringUp(
  name: string,
  start: (surroundings: Surroundings) => Promise<Child>,
  stage: Stage,
  { certificates, resumption, servers = stage.servers.addresses, defence }: Casting,
): Promise<Balancer> {
  const port = await freePort();
  const folder = path.join(stage.folder, `${name}-${port}`);
  await mkdir(folder, { recursive: true });
  const processors = stage.pinning.balancer;
  const child = await start({ children: stage.children, folder, certificates, port, servers, processors, resumption, defence });
  const ca = readFileSync(certificates.ca, 'utf8');
  const pairOf = (who: Who) => {
    const { certificate, key } = certificates[who];
    return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
  };
  const pairs = { client: pairOf('client'), stranger: pairOf('stranger') };
  const target = (version: TlsVersion, who: Who = 'client') => ({ port, tls: { version, ca, ...pairs[who] } });
  return { name, pid: child.pid, target, end: child.end };
}

/** Starts these peers; one that does not come up is left out with a warning. */
export async function bringUpAll(peers: readonly Peer[], stage: Stage, casting: Casting): Promise<readonly Balancer[]> {
  const balancers: Balancer[] = [];
  for (const { name, start } of peers) {
    try {
      balancers.push(await bringUp(name, start, stage, casting));
    } catch (error) {
      stage.warn(`${name} is left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return balancers;
}
