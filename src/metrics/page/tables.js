/** What the tables of the page say, and in which words. */
import { bytes } from '/plots.js';

const HEALTH = {
  healthy: { text: '● healthy', look: 'good' },
  unhealthy: { text: '▲ UNHEALTHY', look: 'bad' },
  unknown: { text: '○ unknown', look: 'unsure' },
};

/** What happens to a server while its health stays the same. */
const EVENT = {
  removed: { text: '– removed', look: false },
  ejected: { text: '▲ EJECTED', look: 'bad' },
  returned: { text: '● no longer ejected', look: 'good' },
};

/** Ejected, or else what its checks say. */
function healthOf({ health, isEjected }) {
  return isEjected ? EVENT.ejected : HEALTH[health];
}

/**
 * A column: its heading, the text of a row in it (given the whole state as well), how that looks, and whether it needs the whole width where there is little.
 * The first column is the heading of the row.
 */
export const TABLES = {
  servers: [
    { heading: 'Server', text: ({ address }) => address },
    { heading: 'Group', text: ({ group }) => group, long: true },
    { heading: 'Health', text: (server) => healthOf(server).text, look: (server) => healthOf(server).look },
    { heading: 'Since', text: ({ sinceMs }, { atMs }) => (sinceMs === 0 ? '–' : since(sinceMs, atMs)) },
    { heading: 'Last probe', text: ({ lastProbe }) => lastProbe || '–', long: true },
    { heading: 'Mode', text: ({ mode, backup }) => (backup ? `${mode}, backup` : mode), look: ({ mode }) => mode !== 'ready' && 'unsure' },
    { heading: 'Weight', text: ({ weight }) => number(weight), numeric: true },
    { heading: 'Active', text: ({ active, maxConnections }) => ofLimit(active, maxConnections), numeric: true },
    { heading: 'Connected', text: ({ connected }) => number(connected), numeric: true },
    { heading: 'Failed', text: ({ failed }) => number(failed), numeric: true, look: ({ failed }) => failed > 0 && 'bad' },
  ],
  listeners: [
    { heading: 'Listener', text: ({ name }) => name },
    { heading: 'Address', text: ({ address }) => address },
    { heading: 'Mode', text: ({ mode, isBehindProxy }) => (isBehindProxy ? `${mode}, PROXY protocol` : mode) },
    { heading: 'Leads to', text: ({ targetGroup }) => targetGroup ?? 'by route or client', long: true },
    { heading: 'Active', text: ({ active }) => number(active), numeric: true },
    { heading: 'Accepted', text: ({ accepted }) => number(accepted), numeric: true },
    { heading: 'Refused', text: ({ refused }) => number(refused), numeric: true },
    {
      heading: 'Last minute',
      text: ({ refusedLately }) => number(refusedLately),
      numeric: true,
      look: ({ refusedLately }) => refusedLately > 0 && 'bad',
    },
  ],
  groups: [
    { heading: 'Group', text: ({ name }) => name },
    { heading: 'Algorithm', text: ({ algorithm }) => algorithm },
    {
      heading: 'Healthy servers',
      text: ({ healthy, servers }) => `${number(healthy)} of ${number(servers)}`,
      numeric: true,
      look: ({ healthy, servers }) => (healthy === servers ? 'good' : healthy === 0 ? 'bad' : 'unsure'),
    },
    { heading: 'Active', text: ({ active }) => number(active), numeric: true },
    {
      heading: 'Waiting',
      text: ({ waiting }) => (waiting === null ? '–' : number(waiting)),
      numeric: true,
      look: ({ waiting }) => waiting > 0 && 'unsure',
    },
  ],
  clients: [
    { heading: 'Client', text: ({ clientId }) => clientId },
    { heading: 'May reach', text: groupsOfClient, long: true },
    { heading: 'Rate limit', text: ({ rate }) => rateText(rate), long: true },
    {
      heading: 'Headroom',
      text: ({ headroom }) => (headroom === null ? '–' : headroom === 0 ? '0, at its limit' : number(Math.floor(headroom))),
      numeric: true,
      look: ({ headroom }) => headroom === 0 && 'bad',
    },
    { heading: 'Active', text: ({ active, concurrentConnections }) => ofLimit(active, concurrentConnections), numeric: true },
    {
      heading: 'Bandwidth',
      text: bandwidthText,
      long: true,
      look: ({ upload, download }) => (isSlowed(upload) || isSlowed(download)) && 'unsure',
    },
    { heading: 'Shadow', text: shadowText, long: true, look: ({ shadow }) => shadow && 'unsure' },
    { heading: 'Accepted', text: ({ accepted }) => number(accepted), numeric: true },
    { heading: 'Refused', text: refusedText, long: true, look: ({ refused }) => refused.length > 0 && 'bad' },
  ],
  refused: [
    { heading: 'Reason', text: ({ reason }) => reason },
    { heading: 'Times', text: ({ count }) => number(count), numeric: true },
    { heading: 'Meaning', text: ({ meaning }) => meaning, long: true },
  ],
  events: [
    { heading: 'When', text: ({ atMs }) => moment(atMs) },
    {
      heading: 'Now',
      text: ({ kind, to }) => EVENT[kind]?.text ?? HEALTH[to].text,
      look: ({ kind, to }) => (EVENT[kind] ?? HEALTH[to]).look,
    },
    { heading: 'Before', text: ({ from }) => from },
    { heading: 'Server', text: ({ server }) => server, long: true },
    { heading: 'Group', text: ({ group }) => group, long: true },
    { heading: 'Cause', text: ({ cause }) => cause, long: true },
  ],
};

function groupsOfClient({ targetGroups, moreTargetGroups }) {
  return targetGroups.join(', ') + (moreTargetGroups > 0 ? ` and ${number(moreTargetGroups)} more` : '');
}

function refusedText({ refused }) {
  return refused.length === 0 ? '0' : refused.map(({ reason, count }) => `${number(count)} ${reason}`).join(', ');
}

function rateText(rate) {
  if (rate === null) return 'none';
  return `${number(rate.limit)} in ${duration(rate.windowMs)}, ${rate.algorithm}`;
}

function bandwidthText({ upload, download }) {
  const parts = [
    ['up', upload],
    ['down', download],
  ].flatMap(([way, bound]) => (bound === null ? [] : [`${way} ${bytes(bound.bytesPerSecond)}/s${isSlowed(bound) ? ', all in use' : ''}`]));
  return parts.join('; ') || '–';
}

function isSlowed(bound) {
  return bound !== null && bound.headroom === 0;
}

/** What the limits of the client would have done, had they not only looked on. */
function shadowText({ shadow, shadowed }) {
  const counts = shadowed.map(({ outcome, count }) => `${outcome} ${number(count)}`).join(', ');
  return shadow ? `only counted: ${counts || 'nothing so far'}` : counts === '' ? '–' : `before: ${counts}`;
}

function ofLimit(count, limit) {
  return limit === null ? number(count) : `${number(count)} of ${number(limit)}`;
}

export function number(value) {
  return value.toLocaleString('en');
}

export function moment(ms) {
  const when = new Date(ms);
  const time = when.toLocaleTimeString('en-GB');
  return when.toDateString() === new Date().toDateString() ? time : `${when.toLocaleDateString('en-CA')} ${time}`;
}

function since(ms, nowMs) {
  return `${duration(Math.max(0, nowMs - ms), true)} ago`;
}

/** 1500 -> "1.5s"; rounded down to its largest unit where it need not be exact. */
function duration(ms, rough = false) {
  const [size, unit] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
    [1, 'ms'],
  ].find(([least]) => ms >= least) ?? [1, 'ms'];
  if (rough && unit === 'ms') return '0 s';
  return `${rough ? Math.floor(ms / size) : Number((ms / size).toFixed(2))} ${unit}`;
}
