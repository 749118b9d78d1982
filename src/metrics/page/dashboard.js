/** Asks for the state every two seconds while the page is seen, and shows it. Whatever comes from the server is text, never markup. */
import { bytes, plotsIn } from '/plots.js';

const EVERY_MS = 2_000;
const PATIENCE_MS = 10_000;

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
 * A column: its heading, the text of a row in it, how that looks, and whether it needs the whole width where there is little.
 * The first column is the heading of the row.
 */
const TABLES = {
  servers: [
    { heading: 'Server', text: ({ address }) => address },
    { heading: 'Group', text: ({ group }) => group, long: true },
    { heading: 'Health', text: (server) => healthOf(server).text, look: (server) => healthOf(server).look },
    { heading: 'Since', text: ({ sinceMs }) => (sinceMs === 0 ? '–' : since(sinceMs)) },
    { heading: 'Last probe', text: ({ lastProbe }) => lastProbe || '–', long: true },
    { heading: 'Mode', text: ({ mode, backup }) => (backup ? `${mode}, backup` : mode), look: ({ mode }) => mode !== 'ready' && 'unsure' },
    { heading: 'Weight', text: ({ weight }) => number(weight), numeric: true },
    { heading: 'Active', text: ({ active, maxConnections }) => ofLimit(active, maxConnections), numeric: true },
    { heading: 'Connected', text: ({ connected }) => number(connected), numeric: true },
    { heading: 'Failed', text: ({ failed }) => number(failed), numeric: true, look: ({ failed }) => failed > 0 && 'bad' },
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

const byId = (id) => document.getElementById(id);
const takePlots = plotsIn(byId('plots'));
for (const [id, columns] of Object.entries(TABLES)) prepare(byId(id), columns);
let shownAtMs;
let timer;
let asking = false;

document.addEventListener('visibilitychange', () => {
  clearTimeout(timer);
  if (!document.hidden) void look();
});
void look();

async function look() {
  if (asking) return;
  asking = true;
  try {
    const response = await fetch('/api/state', { signal: AbortSignal.timeout(PATIENCE_MS), cache: 'no-store' });
    if (!response.ok) throw new Error(`the answer is ${response.status}`);
    show(await response.json());
  } catch {
    say(byId('trouble'), 'The load balancer does not answer.');
  } finally {
    asking = false;
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, EVERY_MS);
  }
}

function show(state) {
  shownAtMs = state.atMs;
  say(byId('trouble'), '');
  say(byId('as-of'), `As of ${moment(state.atMs)}`);
  say(
    byId('about'),
    `version ${state.version}, ${state.workers === 1 ? '1 worker' : `${number(state.workers)} workers`}, revision ${state.revision}, running since ${moment(state.startedAtMs)}`,
  );
  showTotals(state.totals);
  takePlots(state);
  const { servers, groups, clients, refused, events } = state;
  fill('servers', servers.shown, ({ group, address }) => `${group} ${address}`);
  fill('groups', groups.shown, ({ name }) => name);
  fill('clients', clients.shown, ({ clientId }) => clientId);
  fill('refused', refused, ({ reason }) => reason);
  fill('events', events, ({ revision }) => String(revision));
  showRests(state);
}

function showTotals({ active, accepted, refused, bytesUp, bytesDown }) {
  const list = byId('totals');
  const entries = [
    ['Active', number(active)],
    ['Accepted', number(accepted)],
    ['Refused', number(refused)],
    ['From clients', bytes(bytesUp)],
    ['To clients', bytes(bytesDown)],
  ];
  for (const [index, [term, value]] of entries.entries()) {
    let pair = list.children[index];
    if (pair === undefined) {
      pair = list.appendChild(document.createElement('div'));
      pair.append(document.createElement('dt'), document.createElement('dd'));
    }
    say(pair.firstElementChild, term);
    say(pair.lastElementChild, value);
  }
}

function showRests({ servers, groups, clients, refused, events }) {
  const rest = (id, { total, shown }, empty, sums) => {
    const others = total - shown.length;
    say(byId(`${id}-rest`), total === 0 ? empty : others === 0 ? '' : `And ${number(others)} more: ${sums}.`);
  };
  const { rest: s } = servers;
  const serverSums = `${number(s.healthy)} healthy, ${number(s.active)} active, ${number(s.connected)} connected, ${number(s.failed)} failed`;
  rest('servers', servers, 'There are none.', serverSums);
  const { rest: g } = groups;
  rest('groups', groups, 'There are none.', `${number(g.healthy)} of ${number(g.servers)} servers healthy, ${number(g.active)} active`);
  const { rest: c } = clients;
  rest('clients', clients, 'There are none.', `${number(c.active)} active, ${number(c.accepted)} accepted, ${number(c.refused)} refused`);
  say(byId('refused-rest'), refused.length === 0 ? 'Nothing has been refused.' : '');
  say(byId('events-rest'), events.length === 0 ? 'Nothing has happened.' : '');
}

/** The heading, and the roles: a table that is not laid out as one is no table to a screen reader unless told. */
function prepare(table, columns) {
  table.setAttribute('role', 'table');
  const head = table.createTHead();
  head.setAttribute('role', 'rowgroup');
  const row = head.insertRow();
  row.setAttribute('role', 'row');
  for (const { heading, numeric = false } of columns) {
    const cell = row.appendChild(document.createElement('th'));
    cell.scope = 'col';
    cell.setAttribute('role', 'columnheader');
    cell.textContent = heading;
    cell.classList.toggle('number', numeric);
  }
  table.createTBody().setAttribute('role', 'rowgroup');
}

/** Brings the rows up to date. What has not changed is not touched, so that a selection stays. */
function fill(id, items, keyOf) {
  const body = byId(id).tBodies[0];
  byId(id).hidden = items.length === 0;
  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  for (const [index, item] of items.entries()) {
    const key = keyOf(item);
    const row = before.get(key) ?? newRow(TABLES[id], key);
    before.delete(key);
    for (const [place, { text, look, numeric, long }] of TABLES[id].entries()) {
      const cell = row.cells[place];
      say(cell, text(item));
      const className = [numeric && 'number', long && 'long', look?.(item)].filter(Boolean).join(' ');
      if (cell.className !== className) cell.className = className;
    }
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  }
  for (const row of before.values()) row.remove();
}

function newRow(columns, key) {
  const row = document.createElement('tr');
  row.dataset.key = key;
  row.setAttribute('role', 'row');
  for (const [place, { heading }] of columns.entries()) {
    const cell = row.appendChild(document.createElement(place === 0 ? 'th' : 'td'));
    if (place === 0) cell.scope = 'row';
    cell.setAttribute('role', place === 0 ? 'rowheader' : 'cell');
    cell.dataset.label = heading;
  }
  return row;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

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

function number(value) {
  return value.toLocaleString('en');
}

function moment(ms) {
  const when = new Date(ms);
  const time = when.toLocaleTimeString('en-GB');
  return when.toDateString() === new Date().toDateString() ? time : `${when.toLocaleDateString('en-CA')} ${time}`;
}

function since(ms) {
  return `${duration(Math.max(0, shownAtMs - ms), true)} ago`;
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
