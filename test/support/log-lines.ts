import { type Logger, pino } from 'pino';

/** One line, parsed. */
export type Line = Readonly<Record<string, unknown>>;

/** A log that a test can read and wait on. */
export interface LogLines {
  readonly log: Logger;
  readonly lines: readonly Line[];
  /** Takes lines as workers send them. */
  write(lines: readonly string[]): void;
  /** The first line, past or coming, that fits. */
  waitFor(fits: (line: Line) => boolean): Promise<Line>;
}

export function collectLog(): LogLines {
  const lines: Line[] = [];
  const readers = new Set<(line: Line) => void>();
  const take = (text: string) => {
    const line: Line = JSON.parse(text);
    lines.push(line);
    for (const read of readers) read(line);
  };
  return {
    log: pino({ level: 'trace' }, { write: take }),
    lines,
    write: (texts) => texts.forEach(take),
    waitFor: (fits) => {
      const past = lines.find(fits);
      if (past !== undefined) return Promise.resolve(past);
      return new Promise((resolve) => {
        const read = (line: Line) => {
          if (!fits(line)) return;
          readers.delete(read);
          resolve(line);
        };
        readers.add(read);
      });
    },
  };
}
