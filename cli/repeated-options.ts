/** Options that contradict each other: commander takes the last one without a word. */
import type { Command, Option } from 'commander';
import { usageError } from './errors.ts';
import { isCollected } from './values.ts';

/**
 * Refuses, for a command and all below it, an option that is given twice and takes one value, and `--x` together with `--no-x`. The
 * same switch twice says nothing new. The parse then throws a CliError.
 */
export function refuseRepeatedOptions(command: Command): void {
  /** By what the option sets. */
  const given = new Map<string, Option>();
  for (const option of command.options) {
    command.on(`option:${option.name()}`, () => {
      const before = given.get(option.attributeName());
      given.set(option.attributeName(), option);
      if (before === undefined || isCollected(option.parseArg)) return;
      if (before !== option) throw usageError(`${before.long} and ${option.long}: give the one or the other`);
      if (option.required || option.optional) throw usageError(`${option.long} is given twice and takes one value; give it once`);
    });
  }
  for (const subcommand of command.commands) refuseRepeatedOptions(subcommand);
}
