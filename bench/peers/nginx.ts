/** nginx with its stream module, one worker process. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { GROUPS, listening, type Peer, SUITES } from './peer.ts';

/** Where distributions put modules that are loaded at start. */
const MODULES = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/share/nginx/modules', '/etc/nginx/modules'];

export const nginx: Peer = {
  name: 'nginx',
  defences: [],
  resumes: true,
  version: () => {
    const { status, stderr } = spawnSync('nginx', ['-V'], { encoding: 'utf8' });
    if (status !== 0 || streamModule(stderr) === undefined) return undefined;
    const [, version = 'unknown'] = /nginx\/(\S+)/.exec(stderr) ?? [];
    const [, library = 'unknown TLS library'] = /(?:running with|built with) (OpenSSL \S+)/.exec(stderr) ?? [];
    return `${version}, ${library}`;
  },
  start: async ({ children, folder, certificates, port, servers, processors, resumption }) => {
    const file = path.join(folder, 'nginx.conf');
    await mkdir(path.join(folder, 'logs'), { recursive: true });
    const { stderr } = spawnSync('nginx', ['-V'], { encoding: 'utf8' });
    const config = [
      streamModule(stderr) ?? '',
      // Without it a master started as root gives its worker away to a user who cannot be there.
      process.getuid?.() === 0 ? 'user root;' : '',
      'daemon off;',
      'worker_processes 1;',
      `pid ${path.join(folder, 'nginx.pid')};`,
      'error_log stderr crit;',
      'worker_rlimit_nofile 20000;',
      'events { worker_connections 20000; }',
      'stream {',
      `  upstream servers { least_conn; ${servers.map((server) => `server ${server};`).join(' ')} }`,
      '  server {',
      `    listen 127.0.0.1:${port} ssl;`,
      `    ssl_certificate ${certificates.server.certificate};`,
      `    ssl_certificate_key ${certificates.server.key};`,
      `    ssl_client_certificate ${certificates.ca};`,
      '    ssl_verify_client on;',
      '    ssl_protocols TLSv1.2 TLSv1.3;',
      `    ssl_ciphers ${SUITES.tls12};`,
      `    ssl_conf_command Ciphersuites ${SUITES.tls13};`,
      `    ssl_ecdh_curve ${GROUPS};`,
      resumption === 'nobody' ? '    ssl_session_tickets off;' : '',
      '    proxy_pass servers;',
      '    proxy_timeout 1h;',
      '  }',
      '}',
    ];
    await writeFile(file, `${config.filter((line) => line !== '').join('\n')}\n`);
    const child = children.start({ command: 'nginx', args: ['-p', folder, '-e', 'stderr', '-c', file], processors, cwd: folder });
    return listening('nginx', child, port);
  },
};

/** What the configuration must say to have the module: nothing when it is built in; undefined: it is not there. */
function streamModule(build: string): string | undefined {
  if (!build.includes('--with-stream')) return undefined;
  if (!build.includes('--with-stream=dynamic')) return '';
  const folder = MODULES.find((each) => existsSync(path.join(each, 'ngx_stream_module.so')));
  return folder === undefined ? undefined : `load_module ${path.join(folder, 'ngx_stream_module.so')};`;
}
