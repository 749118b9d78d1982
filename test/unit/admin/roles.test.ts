import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEEDED_ROLE } from '../../../src/admin/roles.ts';
import { SERVED } from '../../../src/admin/server.ts';
import { AdminServiceService } from '../../../src/gen/lb/admin/v1/admin.ts';

test('every method that is served has a role, and every role is for a method that is served', () => {
  const served = SERVED.flatMap((service) => Object.values(service)).map(({ path }) => path);
  assert.deepEqual([...NEEDED_ROLE.keys()].sort(), served.sort());
});

test('what only reads is for viewers, and nothing else is; the audit trail is for admins', () => {
  for (const [name, { path }] of Object.entries(AdminServiceService)) {
    if (name === 'listAuditEntries') continue;
    assert.equal(NEEDED_ROLE.get(path) === 'viewer', /^(get|list|watch|plan|export|explain)/.test(name), path);
  }
});
