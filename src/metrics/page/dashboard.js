/** Asks for the state every two seconds while the page is seen, and shows it. Whatever comes from the server is text, never markup. */
import { bytes, plotsIn } from '/plots.js';
import { latelyRefused } from '/recent.js';
import { moment, number, TABLES } from '/tables.js';

const EVERY_MS = 2_000;
const PATIENCE_MS = 10_000;

const byId = (id) => document.getElementById(id);
const takePlots = plotsIn(byId('plots'));
const refusedLately = latelyRefused();
for (const [id, columns] of Object.entries(TABLES)) prepare(byId(id), columns);
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
  say(byId('trouble'), '');
  say(byId('as-of'), `As of ${moment(state.atMs)}`);
  say(
    byId('about'),
    `version ${state.version}, ${state.workers === 1 ? '1 worker' : `${number(state.workers)} workers`}, revision ${state.revision}, running since ${moment(state.startedAtMs)}`,
  );
  showTotals(state.totals);
  takePlots(state);
  const { servers, groups, clients, refused, events } = state;
  fill('listeners', refusedLately(state), ({ name }) => name, state);
  fill('servers', servers.shown, ({ group, address }) => `${group} ${address}`, state);
  fill('groups', groups.shown, ({ name }) => name, state);
  fill('clients', clients.shown, ({ clientId }) => clientId, state);
  fill('refused', refused, ({ reason }) => reason, state);
  fill('events', events, ({ revision }) => String(revision), state);
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

function showRests({ listeners, servers, groups, clients, refused, events }) {
  const rest = (id, { total, shown }, empty, sums) => {
    const others = total - shown.length;
    say(byId(`${id}-rest`), total === 0 ? empty : others === 0 ? '' : `And ${number(others)} more: ${sums}.`);
  };
  const { rest: l } = listeners;
  rest(
    'listeners',
    listeners,
    'There are none.',
    `${number(l.active)} active, ${number(l.accepted)} accepted, ${number(l.refused)} refused`,
  );
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
function fill(id, items, keyOf, state) {
  const body = byId(id).tBodies[0];
  byId(id).hidden = items.length === 0;
  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  for (const [index, item] of items.entries()) {
    const key = keyOf(item);
    const row = before.get(key) ?? newRow(TABLES[id], key);
    before.delete(key);
    for (const [place, { text, look, numeric, long }] of TABLES[id].entries()) {
      const cell = row.cells[place];
      say(cell, text(item, state));
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
