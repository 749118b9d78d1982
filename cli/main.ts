#!/usr/bin/env node
/** Entry of lbctl: the only file of it that knows the process. */
import { homedir } from 'node:os';
import { text } from 'node:stream/consumers';
import { errorCode } from './errors.ts';
import { runProgram } from './program.ts';
import { terminalOf } from './terminal.ts';

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

// `lbctl list-clients | head -1`: a reader that has seen enough is no error.
process.stdout.on('error', (error) => {
  if (errorCode(error) === 'EPIPE') process.exit(0);
  process.stderr.write(`lbctl: cannot write the output: ${error.message}\n`);
  process.exit(1);
});

const exitCode = await runProgram(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  homeFolder: homedir(),
  nowMs: Date.now,
  readStdin: () => text(process.stdin),
  onInterrupt: (listener) => {
    for (const signal of ENDING) process.once(signal, listener);
    return () => {
      for (const signal of ENDING) process.off(signal, listener);
    };
  },
  terminal: terminalOf(process.stdin, process.stdout, process),
});

// Not left to the event loop: grpc-js holds on to a connection attempt that was given up until the other side ends it.
process.stdout.write('', () => process.exit(exitCode));
