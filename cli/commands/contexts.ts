import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Context, contextFilePath, readContextFile, writeContextFile } from '../contexts.ts';
import { usageError } from '../errors.ts';
import type { Io } from '../io.ts';
import { createPrinter, table } from '../render.ts';
import type { GlobalOptions } from '../settings.ts';
import { name } from '../values.ts';
import { example } from './session.ts';

export function addContextCommands(program: Command, io: Io): void {
  program.commandsGroup('lbctl itself:').helpCommand('help [command]', 'the help of a command');
  const context = program.command('context').description('named ways to reach load balancers, kept in ~/.config/lbctl/config.yaml');
  listCommand(context, io);
  useCommand(context, io);
  setCommand(context, io);
}

function listCommand(context: Command, io: Io): void {
  const command = context.command('list').description('list the contexts');
  command.action(() => {
    const { currentContext, contexts } = readContextFile(contextFilePath(io));
    const printer = createPrinter(io, command.optsWithGlobals<GlobalOptions>().output);
    const rows = [...contexts].map(([contextName, { addr = '', ca = '', cert = '', key = '', serverName = '' }]) => [
      contextName === currentContext ? '*' : ' ',
      contextName,
      addr,
      ca,
      cert,
      key,
      serverName,
    ]);
    const human = rows.length === 0 ? 'no contexts' : table([' ', 'NAME', 'ADDR', 'CA', 'CERT', 'KEY', 'SERVER NAME'], rows, printer.paint);
    printer.block({ currentContext, contexts: Object.fromEntries(contexts) }, human);
  });
  example(command, 'context list');
}

function useCommand(context: Command, io: Io): void {
  const command = context.command('use').description('make a context the current one').argument('<name>', 'the context', name);
  command.action((contextName: string) => {
    const filePath = contextFilePath(io);
    const { contexts } = readContextFile(filePath);
    if (!contexts.has(contextName)) throw usageError(`there is no context ${contextName} in ${filePath}; lbctl context list shows them`);
    writeContextFile(filePath, { currentContext: contextName, contexts });
    const printer = createPrinter(io, command.optsWithGlobals<GlobalOptions>().output);
    printer.sentence({ currentContext: contextName }, `the current context is ${contextName}`);
  });
  example(command, 'context use production');
}

function setCommand(context: Command, io: Io): void {
  const command = context
    .command('set')
    .description('make a context from --addr, --ca, --cert, --key and --server-name, or change those of an existing one')
    .argument('<name>', 'the context', name);
  command.action((contextName: string) => {
    const options = command.optsWithGlobals<GlobalOptions>();
    const filePath = contextFilePath(io);
    const { currentContext, contexts } = readContextFile(filePath);
    const changed = { ...contexts.get(contextName), ...givenFields(options) };
    writeContextFile(filePath, { currentContext: currentContext ?? contextName, contexts: new Map(contexts).set(contextName, changed) });
    createPrinter(io, options.output).sentence({ [contextName]: changed }, `wrote context ${contextName} to ${filePath}`);
  });
  example(command, 'context set production --addr lb.example.com:9000 --ca rootCA.pem --cert operator.crt --key operator.key');
}

function givenFields({ addr, ca, cert, key, serverName }: GlobalOptions): Context {
  return {
    ...(addr === undefined ? {} : { addr }),
    ...(ca === undefined ? {} : { ca: resolve(ca) }),
    ...(cert === undefined ? {} : { cert: resolve(cert) }),
    ...(key === undefined ? {} : { key: resolve(key) }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}
