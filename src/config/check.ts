import { unroutableClients } from '../domain/unroutable.ts';
import { type CertificateInUse, uselessRevocations } from '../domain/useless-revocation.ts';
import { certificatesInUse } from './certificates-in-use.ts';
import type { Config } from './config.ts';
import { analyseConfig, type ParseOptions, parseConfig, sortProblems } from './parse.ts';
import { ConfigError, type Problem } from './problems.ts';
import { readConfigFile } from './read-file.ts';
import { inspectTlsFiles, TlsFileError, type TlsFileOptions } from './tls-files.ts';
import { groupOwner, type OwnedWarning, tlsUsers, warningLines } from './tls-owners.ts';
import { loadUpstreamTls } from './upstream-tls-files.ts';

export type CheckedFile = { readonly config: Config; readonly warnings: readonly string[] } | { readonly problems: readonly Problem[] };

/** Reads a config file. @throws ConfigError with every problem in it; the TLS files are not looked at. */
export function loadConfigFile(file: string, options: ParseOptions = {}): Config {
  return parseConfig(readConfigFile(file), file, options);
}

/** Everything that would keep this file from being served, TLS files included, each at its place: what `lbd check` says. */
export function checkConfigFile(file: string, options: ParseOptions & TlsFileOptions): CheckedFile {
  let text: string;
  try {
    text = readConfigFile(file);
  } catch (error) {
    if (error instanceof ConfigError) return { problems: error.problems };
    throw error;
  }
  const { config, problems, tls, upstreamTls } = analyseConfig(text, file, options);
  const fileProblems: Problem[] = [];
  const ofGroups: string[] = [];
  const inUse: CertificateInUse[] = [];
  const ofTls: OwnedWarning[] = [];
  const usersOf = tlsUsers(config?.listeners ?? []);
  for (const { params, usedBy, problemAt } of tls) {
    const inspected = inspectTlsFiles(params, options);
    if ('errors' in inspected)
      fileProblems.push(...inspected.errors.map((error) => problemAt(error.key, `${error.file}: ${error.reason}`)));
    else {
      ofTls.push(...inspected.warnings.map((warning) => ({ listeners: usersOf(params), warning })));
      inUse.push(...certificatesInUse(usedBy, params, inspected.material));
    }
  }
  for (const { group, settings, problemAt } of upstreamTls) {
    try {
      const { warnings } = loadUpstreamTls(settings, options);
      ofGroups.push(...warnings.map((warning) => `${groupOwner(group)}: ${warning}`));
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      fileProblems.push(problemAt(error.key, `${error.file}: ${error.reason}`));
    }
  }
  if (config === undefined || fileProblems.length > 0) return { problems: sortProblems([...problems, ...fileProblems]) };
  const ofState = [...unroutableClients(config.clients, config.listeners), ...uselessRevocations(config.revocations, inUse)];
  return { config, warnings: [...new Set([...warningLines(ofTls), ...ofGroups, ...ofState])] };
}
