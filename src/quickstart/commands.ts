/** The commands that the quickstart prints, each ready to paste where the quickstart was started. */
import path from 'node:path';

/** How things are called from a folder. */
export interface Place {
  /** The folder of the development certificates, relative. */
  readonly certs: string;
  readonly lbctl: string;
  /** undefined: not to be had with a short command from here. */
  readonly sampleClient: string | undefined;
  readonly buf: string;
}

const ROOT = path.join(import.meta.dirname, '../..');
/** A checkout runs the sources; an installed package runs what was compiled from them, in dist/. */
const IS_CHECKOUT = import.meta.filename.endsWith('.ts');

export function placeOf(cwd: string): Place {
  if (!IS_CHECKOUT) return { certs: 'portcullis-certs', lbctl: 'npx lbctl', sampleClient: undefined, buf: 'npx @bufbuild/buf' };
  const root = path.relative(cwd, ROOT);
  if (root === '') {
    return { certs: 'certs', lbctl: 'npm run --silent lbctl --', sampleClient: 'npm run --silent sample-client --', buf: 'npx buf' };
  }
  return {
    certs: 'portcullis-certs',
    lbctl: `node ${root}/cli/main.ts`,
    sampleClient: `node ${root}/src/quickstart/sample-client.ts`,
    buf: `${root}/node_modules/.bin/buf`,
  };
}

/** Lines to print: a heading as a comment, then the command, for each thing to try. `balancer` and `admin` are `host:port`. */
export function commandsToTry({ certs, lbctl, sampleClient, buf }: Place, balancer: string, admin: string): readonly string[] {
  const pem = (name: string) => `${certs}/${name}`;
  const lbctlFlags = `--addr ${admin} --ca ${pem('rootCA.pem')} --cert ${pem('operator.crt')} --key ${pem('operator.key')}`;
  const curl = (client: string) =>
    `curl --silent --show-error --cacert ${pem('rootCA.pem')} --cert ${pem(`${client}.crt`)} --key ${pem(`${client}.key`)} https://${balancer}/`;
  // In the place of the sample client's own defaults there is no need to name them.
  const clientFlags = certs === 'certs' ? '' : ` --cert ${pem('clientA.crt')} --key ${pem('clientA.key')} --ca ${pem('rootCA.pem')}`;
  const sample = (requests: number) =>
    sampleClient === undefined ? undefined : `${sampleClient} --requests ${requests} --server ${balancer}${clientFlags}`;
  const call = 'lb.admin.v1.AdminService/ListUpstreamServers';
  const things: readonly (readonly [heading: string, command: string | undefined])[] = [
    ['One request as client A; run it again, and another server answers', curl('clientA')],
    ['Client A sends 5 requests in one second, within its limit of 10', sample(5)],
    [
      'The same connection by hand',
      `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -connect ${balancer} -CAfile ${pem('rootCA.pem')} ` +
        `-cert ${pem('clientA.crt')} -key ${pem('clientA.key')}`,
    ],
    ['The servers and their health', `${lbctl} ${lbctlFlags} list-upstream-servers`],
    [
      'Client B has a certificate, but is refused: let it in, while everything runs',
      `${lbctl} ${lbctlFlags} add-client --client clientB.bardomain.com --target-group FrontEndService`,
    ],
    ['Now client B is served', curl('clientB')],
    [
      'The admin API with grpcurl, by reflection',
      `grpcurl -cacert ${pem('rootCA.pem')} -cert ${pem('operator.crt')} -key ${pem('operator.key')} ${admin} ${call}`,
    ],
    [
      'The same with buf',
      `${buf} curl --protocol grpc --cacert ${pem('rootCA.pem')} --cert ${pem('operator.crt')} --key ${pem('operator.key')} ` +
        `--data '{}' https://${admin}/${call}`,
    ],
    ['Client A sends 25: those over its limit are reset', sample(25)],
  ];
  return [
    ...things.flatMap(([heading, command]) => (command === undefined ? [] : [`# ${heading}`, command, ''])),
    'Ctrl-C stops everything.',
  ];
}
