import { unroutableClients } from '../domain/unroutable.ts';
import { type CertificateInUse, uselessRevocations } from '../domain/useless-revocation.ts';
import { certificatesInUse } from './certificates-in-use.ts';
import type { Config } from './config.ts';
import { analyseConfig, type ParseOptions, parseConfig, sortProblems } from './parse.ts';
import { ConfigError, type Problem } from './problems.ts';
import { readConfigFile } from './read-file.ts';
import { inspectTlsFiles, TlsFileError, type TlsFileOptions } from './tls-files.ts';
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
  const warnings: string[] = [];
  const inUse: CertificateInUse[] = [];
  for (const { params, usedBy, problemAt } of tls) {
    const inspected = inspectTlsFiles(params, options);
    if ('errors' in inspected)
      fileProblems.push(...inspected.errors.map((error) => problemAt(error.key, `${error.file}: ${error.reason}`)));
    else {
      warnings.push(...inspected.warnings);
      inUse.push(...certificatesInUse(usedBy, params, inspected.material));
    }
  }
  for (const { settings, problemAt } of upstreamTls) {
    try {
      warnings.push(...loadUpstreamTls(settings, options).warnings);
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      fileProblems.push(problemAt(error.key, `${error.file}: ${error.reason}`));
    }
  }
  if (config === undefined || fileProblems.length > 0) return { problems: sortProblems([...problems, ...fileProblems]) };
  warnings.push(...unroutableClients(config.clients, config.listeners), ...uselessRevocations(config.revocations, inUse));
  return { config, warnings: [...new Set(warnings)] };
}
