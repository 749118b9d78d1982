/**
 * What the steps of a connection cost by the size of the state, in nanoseconds of CPU time and bytes allocated: `node bench/steps.ts`, or
 * only some of it: `node bench/steps.ts picks authorisation limits`. Tables in Markdown; a row that is not flat is bold.
 */
import { asMarkdown } from './section.ts';
import { authorisationCurves } from './steps/authorisation.ts';
import { curveSection, type StepTable } from './steps/curves.ts';
import { guardCurves, limitCurves } from './steps/limits.ts';
import { maglevTimes, pickCurves } from './steps/picks.ts';

const PARTS: Readonly<Record<string, () => Promise<readonly StepTable[]>>> = {
  picks: async () => [
    {
      id: 'picks',
      title: 'The pick, with all servers healthy: a server is chosen, a place of it taken, another one given back',
      of: 'servers',
      curves: await pickCurves('all'),
    },
    { id: 'picksHalf', title: 'The same with every other server unhealthy', of: 'servers', curves: await pickCurves('half') },
  ],
  authorisation: async () => [
    {
      id: 'authorisation',
      title: 'Authorisation: what the certificate proves, which client that is, which group it is led to, and whether it may',
      of: 'clients',
      curves: await authorisationCurves(),
    },
  ],
  limits: async () => [
    {
      id: 'limits',
      title: 'The limits of a client: its place is taken, its rate limiter asked, its place given back',
      of: 'clients',
      curves: await limitCurves(),
    },
    { id: 'addressGuard', title: 'The guard of source addresses, before the handshake', of: 'addresses', curves: await guardCurves() },
  ],
};

const asked = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS);
const tables: StepTable[] = [];
for (const name of asked) {
  const part = PARTS[name];
  if (part === undefined) {
    process.stderr.write(`steps: there is no part ${name}; there are ${Object.keys(PARTS).join(', ')}\n`);
    process.exit(2);
  }
  for (const table of await part()) {
    tables.push(table);
    process.stdout.write(`${asMarkdown(curveSection(table))}\n\n`);
  }
}
if (asked.includes('picks')) process.stdout.write(`${maglevTimes()}\n`);
// The whole benchmark started it, and waits for this.
process.send?.(tables);
process.disconnect?.();
