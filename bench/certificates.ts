/** The certificates that balancer, peers and load share: a root, one for the balancer, one for the client, of one kind of key. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CertificateAuthority, type KeyKind, validFor } from '../certs/issuing.ts';

/** The identity that the load generator proves. */
export const CLIENT_NAME = 'client-0';

/** The identity of the stranger. */
export const STRANGER_NAME = 'stranger';

/** PEM files. `both` is certificate and key in one file, as HAProxy reads them. */
export interface CertificateFiles {
  readonly kind: KeyKind;
  readonly ca: string;
  readonly server: { readonly certificate: string; readonly key: string; readonly both: string };
  readonly client: KeyPairFiles;
  /** Of the same CA, and nobody whom a balancer that knows its clients lets in. */
  readonly stranger: KeyPairFiles;
}

export interface KeyPairFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Makes new ones in the folder; keys are 0600. */
export async function makeCertificates(folder: string, kind: KeyKind): Promise<CertificateFiles> {
  const validity = validFor(1, Date.now());
  const authority = await CertificateAuthority.create(`benchmark ${kind} CA`, validity, kind);
  const nobody = { organizationalUnits: [], uriNames: [], validity, keyKind: kind };
  const server = await authority.issue({
    ...nobody,
    commonNames: ['balancer'],
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    purpose: 'server',
  });
  const clientNamed = (name: string) =>
    authority.issue({ ...nobody, commonNames: [name], dnsNames: [], ipAddresses: [], purpose: 'client' });
  const [client, stranger] = [await clientNamed(CLIENT_NAME), await clientNamed(STRANGER_NAME)];
  const write = async (name: string, text: string) => {
    const file = path.join(folder, `${kind}-${name}`);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  };
  return {
    kind,
    ca: await write('ca.pem', authority.certPem),
    server: {
      certificate: await write('server.crt', server.certPem),
      key: await write('server.key', server.keyPem),
      both: await write('server.pem', server.certPem + server.keyPem),
    },
    client: { certificate: await write('client.crt', client.certPem), key: await write('client.key', client.keyPem) },
    stranger: { certificate: await write('stranger.crt', stranger.certPem), key: await write('stranger.key', stranger.keyPem) },
  };
}
