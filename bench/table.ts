/** The report for people, on a terminal. */
import type { Report } from './report.ts';
import { asText } from './section.ts';
import { sectionsOf } from './sections.ts';
import { WORKS } from './works.ts';

/** Above this share of a processor somebody is as busy as he can be. */
const BUSY = 0.9;

/** The whole report as text. */
export function table(report: Report): string {
  return [
    ...heading(report),
    ...sectionsOf(report).flatMap((section) => ['', ...asText(section), ...(section.id === 'generator' ? check(report) : [])]),
    ...report.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}

function heading({ machine, settings, rounds, versions, notFound, seconds }: Report): readonly string[] {
  const pinned =
    machine.pinned === null
      ? 'not pinned'
      : `balancers on processor ${machine.pinned.balancer}, load and servers on ${machine.pinned.load}`;
  return [
    `${machine.cpu}, ${machine.processors} processors, Linux ${machine.kernel}, load average ${machine.loadAverage} at the start; ${pinned}`,
    `${settings.tls}, ${settings.key}, ${settings.handshake} handshakes; ${rounds.completed} of ${rounds.planned} rounds, ${rounds.memory} of memory; ${Math.round(seconds)} s`,
    ...Object.entries(versions).map(([name, version]) => `  ${name}: ${version}`),
    ...(notFound.length === 0 ? [] : [`  not on this machine: ${notFound.join(', ')}`]),
    'figures are: median (least to most) over the rounds; CPU is that of the balancer alone',
  ];
}

/** Whether the load generator was fast enough for the rates to be the balancer's. */
function check(report: Report): readonly string[] {
  const held = boundByLoad(report);
  return [
    '  a process of its own, not counted in any CPU figure; a rate is the balancer\'s where "busy" says that it had no more to give',
    held.length === 0
      ? '  nowhere was it at its limit while its balancer was not; where neither was, the rest of the machine held both up'
      : `  rates bound by the load generator and the servers (they are at least that): ${held.join('; ')}`,
  ];
}

/** The works at which load and servers, or one of them, had no more to give while the balancer had: `lbd upload`. */
export function boundByLoad({ peers, machine }: Report): readonly string[] {
  const theirs = machine.pinned === null ? machine.processors : machine.processors - 1;
  return Object.entries(peers).flatMap(([name, { works }]) =>
    WORKS.filter((work) => {
      const { balancer, load, servers } = works[work].busy;
      return balancer < BUSY && (load >= BUSY || servers >= BUSY || load + servers >= BUSY * theirs);
    }).map((work) => `${name} ${work}`),
  );
}
