/** What would happen to a connection, told as a story. */
import type { Command } from 'commander';
import { AdminServiceService, type ExplainCandidate, type ExplainRequest, type ExplainResponse } from '../../src/gen/lb/admin/v1/admin.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { type Cell, type Paint, safeText, table } from '../render.ts';
import { collect, name } from '../values.ts';
import { readCertificate } from './certificates.ts';
import { example, withSession } from './session.ts';
import { healthCell } from './upstream-servers.ts';

interface ExplainOptions {
  readonly certificate?: string;
  readonly cn?: string;
  readonly dns?: readonly string[];
  readonly uri?: readonly string[];
  readonly ou?: readonly string[];
  readonly fingerprint?: string;
  readonly listener?: string;
  readonly sni?: string;
  readonly alpn?: string;
  readonly source?: string;
}

export function addExplainCommand(program: Command, io: Io): void {
  const command = program
    .command('explain')
    .description('what would happen to a connection of this client now, step by step; nothing is used up')
    .option('--certificate <file>', 'the client certificate, PEM', name)
    .option('--cn <name>', 'or what it says: its common name', name)
    .option('--dns <name>', '... a DNS name; repeat it for several', collect(name))
    .option('--uri <uri>', '... a URI name; repeat it for several', collect(name))
    .option('--ou <unit>', '... an organizational unit; repeat it for several', collect(name))
    .option('--fingerprint <sha256>', '... its SHA-256 fingerprint', name)
    .option('--listener <name>', 'where it connects (default: the only listener)', name)
    .option('--sni <name>', 'the server name that it asks for', name)
    .option('--alpn <protocol>', 'the protocol that it offers', name)
    .option('--source <address>', 'the address that it comes from; on a plain listener this alone says who it is', name);
  command.action(async (options: ExplainOptions) => {
    const { listener = '', sni = '', alpn = '', source = '' } = options;
    const who = whoOf(options);
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.explain, { who, listener, sni, alpn, source });
      printer.block(reply, explanation(reply, printer.paint));
    });
  });
  example(
    command,
    'explain --cn clientA.bardomain.com',
    'explain --certificate clientA.crt --listener main --sni db.bardomain.com',
    'explain --listener private --source 10.1.2.3',
    'explain --uri spiffe://example.org/billing --output json',
  );
}

function whoOf(options: ExplainOptions): ExplainRequest['who'] {
  const { certificate, cn = '', dns = [], uri = [], ou = [], fingerprint = '' } = options;
  const described = cn !== '' || fingerprint !== '' || dns.length + uri.length + ou.length > 0;
  if (certificate !== undefined && described) throw usageError('--certificate and what it says: give the one or the other');
  if (certificate !== undefined) return { $case: 'certificate', value: readCertificate(certificate) };
  if (!described && options.source !== undefined) return undefined;
  if (!described) throw usageError('whose connection? give --certificate, or --cn, --dns, --uri, --ou, --fingerprint or --source');
  return { $case: 'identity', value: { cn, dns: [...dns], uri: [...uri], ou: [...ou], fingerprint } };
}

/** The steps with a tick or a cross each, the servers that were looked at, and how it ends. */
export function explanation(reply: ExplainResponse, paint: Paint): string {
  const width = Math.max(0, ...reply.steps.map((step) => safeText(step.name).length));
  const steps = reply.steps.map(({ passed, name: step, detail }) => {
    const sign = passed ? paint('✓', 'good') : paint('✗', 'bad');
    return `${sign} ${safeText(step).padEnd(width)}  ${safeText(detail)}`.trimEnd();
  });
  const candidates = reply.candidates.length === 0 ? [] : ['', candidateTable(reply, paint)];
  return [...steps, ...candidates, '', ending(reply, paint)].join('\n').trimStart();
}

function ending({ admitted, reason, clientId, targetGroup, pick, onlyFrom, revision }: ExplainResponse, paint: Paint): string {
  const who = clientId === '' ? 'It' : safeText(clientId);
  const at = ` (revision ${revision})`;
  if (!admitted) return `${paint(`${who} would be refused: ${safeText(reason)}`, 'bad')}${at}`;
  const group = safeText(targetGroup);
  const served = pick === '' ? `${who} would wait in the queue of ${group}` : `${who} would be served by ${safeText(pick)} of ${group}`;
  if (onlyFrom === '') return `${paint(served, pick === '' ? 'unsure' : 'good')}${at}`;
  return `${paint(`${served}, only from ${safeText(onlyFrom)}; give --source`, 'unsure')}${at}`;
}

function candidateTable({ candidates, pick }: ExplainResponse, paint: Paint): string {
  return table(
    [' ', 'SERVER', 'HEALTH', 'USABLE', 'ACTIVE', 'WEIGHT', 'WHY'],
    candidates.map((candidate) => [
      candidate.server === pick ? '>' : ' ',
      candidate.server,
      healthCell(candidate.health),
      usableCell(candidate),
      String(candidate.active),
      String(candidate.weight),
      candidate.why,
    ]),
    paint,
  );
}

const usableCell = ({ usable }: ExplainCandidate): Cell => (usable ? { text: 'yes', tone: 'good' } : { text: 'no', tone: 'bad' });
