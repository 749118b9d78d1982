/** What lbctl touches of the process it runs in; a test gives its own. */
export interface Io {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeFolder: string;
  readonly nowMs: () => number;
  /** All of standard input as UTF-8. */
  readonly readStdin: () => Promise<string>;
  /** Until the returned function is called, Ctrl-C and the signals that ask a process to end call `listener` instead of ending it. */
  readonly onInterrupt: (listener: () => void) => () => void;
  /** Undefined unless both standard input and standard output are a terminal. */
  readonly terminal: Terminal | undefined;
}

export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** A terminal that a command takes over for a while. */
export interface Terminal {
  readonly size: () => TerminalSize;
  /** Until the returned function is called: an empty screen of its own without a cursor, and each key press as it is typed. */
  readonly takeOver: (listeners: TerminalListeners) => () => void;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface TerminalListeners {
  /** A character, or the escape sequence of a key. */
  readonly key: (key: string) => void;
  readonly resize: () => void;
  /** Standard input has ended. */
  readonly gone: () => void;
}
