/** The certificates that lbd serves, and those that it no longer takes. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { AdminServiceService, type RevokeCertificateRequest } from '../../src/gen/lb/admin/v1/admin.ts';
import { fileProblem, usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { name } from '../values.ts';
import { certificateTables } from './certificate-tables.ts';
import { type CloseOptions, closedText, closeFields, closeOptions, connections } from './closing.ts';
import { type ChangeOptions, changeFields, changeOptions, example, warn, withSession } from './session.ts';

interface RevokeOptions extends CertificateOptions, ChangeOptions, CloseOptions {
  readonly comment?: string;
  readonly yesLockMeOut?: true;
}

interface CertificateOptions {
  readonly fingerprint?: string;
  readonly certificate?: string;
}

export function addCertificateCommands(program: Command, io: Io): void {
  program.commandsGroup('Certificates:');
  listCommand(program, io);
  revokeCommand(program, io);
}

function listCommand(program: Command, io: Io): void {
  const command = program
    .command('certificates')
    .description('the certificates that the listeners and the admin API serve, the revocation lists in force, and the revoked certificates')
    .option('--reload', 'read certificates, keys, CAs and CRLs again from their files first: all of them, or none when one is bad')
    .option('--yes-lock-me-out', 'with --reload: even if they refuse the certificate that this call is made with');
  command.action(async ({ reload = false, yesLockMeOut = false }: { readonly reload?: boolean; readonly yesLockMeOut?: boolean }) => {
    await withSession(io, command, async ({ connection, printer }) => {
      const reloaded = reload ? await connection.unary(AdminServiceService.reloadCertificates, { allowSelf: yesLockMeOut }) : undefined;
      warn(io, reloaded?.warnings ?? []);
      const reply = await connection.unary(AdminServiceService.listCertificates, {});
      const { connectionsClosed = 0n } = reloaded ?? {};
      const sentence = reloaded === undefined ? '' : `reloaded, ${connections(connectionsClosed)} closed\n\n`;
      const answer = reloaded === undefined ? reply : { ...reply, connectionsClosed, warnings: reloaded.warnings };
      printer.block(answer, `${sentence}${certificateTables(reply, io.nowMs(), printer.paint)}`);
    });
  });
  example(command, 'certificates', 'certificates --reload');
}

function revokeCommand(program: Command, io: Io): void {
  const command = program
    .command('revoke')
    .description('admit nobody with this certificate any more, anywhere; its live connections are closed')
    .option('--fingerprint <sha256>', "its SHA-256 fingerprint, hex digits; an intermediate CA's is not recognised, and does nothing", name)
    .option('--certificate <file>', 'or the certificate itself, PEM', name)
    .option('--comment <text>', 'why, for those who list the revoked certificates', name)
    .option('--yes-lock-me-out', 'even if it is the certificate that this call is made with');
  changeOptions(closeOptions(command)).action(async (options: RevokeOptions) => {
    const certificateId = certificateIdOf(options);
    const allowSelf = options.yesLockMeOut ?? false;
    const request = { certificateId, comment: options.comment ?? '', allowSelf, ...closeFields(options), ...changeFields(options) };
    await withSession(io, command, async ({ connection, printer }) => {
      const reply = await connection.unary(AdminServiceService.revokeCertificate, request);
      const since = reply.alreadyRevokedAt?.toISOString();
      const revoked = since === undefined ? 'revoked, ' : `revoked already since ${since}; `;
      printer.sentence(reply, `${revoked}${closedText(reply, options)} (revision ${reply.revision})`);
    });
  });
  example(
    command,
    "revoke --certificate stolen.crt --comment 'laptop stolen'",
    'revoke --fingerprint 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 --mode drain --deadline 30s',
  );
}

function certificateIdOf({ fingerprint, certificate }: CertificateOptions): NonNullable<RevokeCertificateRequest['certificateId']> {
  if (fingerprint !== undefined && certificate !== undefined)
    throw usageError('--fingerprint and --certificate: give the one or the other');
  if (fingerprint !== undefined) return { $case: 'fingerprint', value: fingerprint };
  if (certificate !== undefined) return { $case: 'certificate', value: readCertificate(certificate) };
  throw usageError('which certificate? give --fingerprint or --certificate');
}

/** The PEM text of a file that `--certificate` names. Throws a CliError when it cannot be read. */
export function readCertificate(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`cannot read the certificate ${file}: ${fileProblem(error)}; give a PEM file with --certificate`);
  }
}
