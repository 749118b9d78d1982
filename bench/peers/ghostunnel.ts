/** ghostunnel in server mode: one target, and every client of the CA. */
import { spawnSync } from 'node:child_process';
import { listening, type Peer } from './peer.ts';

export const ghostunnel: Peer = {
  name: 'ghostunnel',
  defences: [],
  version: () => {
    const { status, stdout, stderr } = spawnSync('ghostunnel', ['--version'], { encoding: 'utf8' });
    return status === 0 ? `${stdout}${stderr}`.trim().split('\n')[0] : undefined;
  },
  start: async ({ children, folder, certificates, port, servers, processors }) => {
    const files = ['--cert', certificates.server.certificate, '--key', certificates.server.key, '--cacert', certificates.ca];
    const places = ['--listen', `127.0.0.1:${port}`, '--target', servers[0] ?? ''];
    // One thread that runs Go code, as one worker is.
    const args = ['GOMAXPROCS=1', 'ghostunnel', 'server', ...places, ...files, '--allow-all', '--quiet', 'all'];
    return listening('ghostunnel', children.start({ command: 'env', args, processors, cwd: folder }), port);
  },
};
