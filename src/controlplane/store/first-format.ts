/** What format 1 of stored states and changes could not say: whether a burst was given, or left out and written as large as the limit. */
import type { Client } from '../../domain/model.ts';
import type { Command } from '../../domain/state.ts';

/** A client of format 1: a burst as large as the limit counts as left out. */
export function clientOfFirstFormat(client: Client): Client {
  const { connectionRate } = client.limits;
  if (connectionRate === undefined || connectionRate.burst !== connectionRate.limit) return client;
  return { ...client, limits: { ...client.limits, connectionRate: { ...connectionRate, burst: undefined } } };
}

/** A change of format 1, with its clients as {@link clientOfFirstFormat} reads them. */
export function commandOfFirstFormat(command: Command): Command {
  switch (command.kind) {
    case 'addClient':
    case 'updateClient':
      return { ...command, client: clientOfFirstFormat(command.client) };
    case 'replaceAll':
      return { ...command, clients: command.clients.map(clientOfFirstFormat) };
    case 'replaceSome':
      return { ...command, clients: { ...command.clients, put: command.clients.put.map(clientOfFirstFormat) } };
    default:
      return command;
  }
}
