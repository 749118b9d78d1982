import { DomainError } from '../domain/errors.ts';
import { ClientIndex } from '../domain/identity.ts';
import type { Client } from '../domain/model.ts';
import type { Caller } from './caller.ts';

/**
 * A data-plane client's certificate opens nothing here, so nobody makes a client of his own certificate by mistake.
 * @throws DomainError `in_use`
 */
export function refuseLockout(client: Client, { identity, name }: Caller): void {
  if (identity === undefined || new ClientIndex([client]).find(identity) === 'unknown') return;
  const problem = `client "${client.clientId}" matches your own certificate "${name}", which would then open nothing here`;
  throw new DomainError('in_use', 'clientId', `${problem}; choose another name or match, or let another administrator do it`);
}
