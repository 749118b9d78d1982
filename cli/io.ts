/** What lbctl touches of the process it runs in; a test gives its own. */
export interface Io {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeFolder: string;
  readonly nowMs: () => number;
  /** All of standard input as UTF-8. */
  readonly readStdin: () => Promise<string>;
  /** Until the returned function is called, Ctrl-C calls `listener` instead of ending the process. */
  readonly onInterrupt: (listener: () => void) => () => void;
}

export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}
