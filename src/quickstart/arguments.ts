/** Command lines of the sample programs. */

/** Reads a whole number, or throws TypeError (as `parseArgs` does) with what was expected. */
export function wholeNumber(name: string, text: string, least: number, most = 1_000_000): number {
  const number = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= most))
    throw new TypeError(`${name} is ${JSON.stringify(text)}, expected a number from ${least} to ${most}`);
  return number;
}

/** What to print and with which code to end when a sample program fails: 2 and the usage for a wrong command line, else 1. */
export function failureOf(program: string, usage: string, error: unknown): { readonly message: string; readonly exitCode: 1 | 2 } {
  const message = `${program}: ${error instanceof Error ? error.message : String(error)}`;
  return error instanceof TypeError ? { message: `${message}\n${usage}`, exitCode: 2 } : { message, exitCode: 1 };
}
