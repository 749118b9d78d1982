/** The terminal of the process, for a command that draws on all of it. */
import { writeSync } from 'node:fs';
import type { ReadStream, WriteStream } from 'node:tty';
import type { Terminal, TerminalListeners } from './io.ts';

// xterm's control sequences (invisible-island.net/xterm/ctlseqs): the alternate screen keeps what was there.
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[2J';
const LEAVE = '\u001b[?25h\u001b[?1049l';
/** An escape sequence as one key; the control character is the escape. */
const KEYS = /\p{Cc}(?:\[[\d;]*[A-Za-z~]|O[A-Z])|./gsu;
const STDOUT_FD = 1;

/** What tells that the process ends, whatever the cause. */
export interface Ending {
  once(event: 'exit', listener: () => void): unknown;
  off(event: 'exit', listener: () => void): unknown;
}

/** Undefined unless both are a terminal. However the process ends, short of SIGKILL, the terminal is left as it was. */
export function terminalOf(stdin: ReadStream, stdout: WriteStream, ending: Ending): Terminal | undefined {
  if (!stdin.isTTY || !stdout.isTTY) return undefined;
  return {
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    takeOver: (listeners) => takeOver(stdin, stdout, ending, listeners),
  };
}

function takeOver(stdin: ReadStream, stdout: WriteStream, ending: Ending, { key, resize, gone }: TerminalListeners): () => void {
  const onData = (text: string | Buffer) => {
    for (const [one] of text.toString().matchAll(KEYS)) key(one);
  };
  // Synchronously: at the exit of the process nothing else is written any more.
  const onExit = () => {
    stdin.setRawMode(false);
    writeSync(STDOUT_FD, LEAVE);
  };
  stdout.write(ENTER);
  stdout.on('resize', resize);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.on('data', onData).on('end', gone).on('error', gone);
  stdin.resume();
  ending.once('exit', onExit);
  return () => {
    ending.off('exit', onExit);
    stdout.off('resize', resize);
    stdin.off('data', onData).off('end', gone).pause();
    stdin.setRawMode(false);
    stdout.write(LEAVE);
  };
}
