/** Adds a client from a program of your own in plain JavaScript. Run it beside `npm start`. */
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { AddClientRequest, connectAdmin } from '../src/admin-client.ts'; // 'portcullis/admin' where it is installed

const pem = (name) => readFileSync(`certs/${name}`);
const addr = process.argv[2] ?? '127.0.0.1:9000';
const admin = connectAdmin({ addr, ca: pem('rootCA.pem'), cert: pem('operator.crt'), key: pem('operator.key') });
const addClient = promisify(admin.addClient.bind(admin));

try {
  const client = { clientId: 'clientC.bardomain.com', allowedTargetGroups: ['FrontEndService'] };
  const { revision } = await addClient(AddClientRequest.fromPartial({ client, requestId: 'onboarding-4711' }));
  console.log(`revision ${revision}`);
} finally {
  admin.close();
}
