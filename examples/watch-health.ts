/** Follows the health of the upstream servers from a program of your own: first how each of them is, then every change. */
import { readFileSync } from 'node:fs';
import { connectAdmin } from '../src/admin-client.ts'; // 'portcullis/admin' where it is installed

const pem = (name: string) => readFileSync(`certs/${name}`);
const addr = process.argv[2] ?? '127.0.0.1:9000';
const admin = connectAdmin({ addr, ca: pem('rootCA.pem'), cert: pem('operator.crt'), key: pem('operator.key') });

for await (const { kind, targetGroup, server, to, cause } of admin.watchHealth({ sinceRevision: 0n, targetGroup: '', server: '' })) {
  console.log(kind, targetGroup, server, to, cause);
}
