/**
 * ghostunnel in server mode: one target, and every client of the CA. It cannot be told whether clients may resume sessions: it writes a
 * ticket, and takes none.
 */
import { spawnSync } from 'node:child_process';
import { listening, type Peer } from './peer.ts';

export const ghostunnel: Peer = {
  name: 'ghostunnel',
  defences: [],
  resumes: false,
  version: () => {
    const { status, stdout, stderr } = spawnSync('ghostunnel', ['--version'], { encoding: 'utf8' });
    if (status !== 0) return undefined;
    // `rev v1.8.4 built with go1.26.8`, or the name of a branch.
    const [, revision, go] = /^rev v?(\S+) built with go(\S+)/m.exec(`${stdout}${stderr}`) ?? [];
    return revision === undefined ? 'unknown' : `${revision}, Go ${go}`;
  },
  start: async ({ children, folder, certificates, port, servers, processors }) => {
    const files = ['--cert', certificates.server.certificate, '--key', certificates.server.key, '--cacert', certificates.ca];
    const places = ['--listen', `127.0.0.1:${port}`, '--target', servers[0] ?? ''];
    // One thread that runs Go code, as one worker is.
    const args = ['GOMAXPROCS=1', 'ghostunnel', 'server', ...places, ...files, '--allow-all', '--quiet', 'all'];
    return listening('ghostunnel', children.start({ command: 'env', args, processors, cwd: folder }), port);
  },
};
