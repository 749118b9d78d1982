/** Rates as small plots: differences of the totals between two looks, kept in this page for five minutes. */

const KEPT_MS = 300_000;
const WIDTH = 300;
const HEIGHT = 60;
const SVG = 'http://www.w3.org/2000/svg';

const PLOTS = [
  { total: 'accepted', title: 'Connections per second', shown: (rate) => decimal(rate) },
  { total: 'refused', title: 'Refusals per second', shown: (rate) => decimal(rate) },
  { total: 'bytesUp', title: 'From clients', shown: (rate) => `${bytes(rate)}/s` },
  { total: 'bytesDown', title: 'To clients', shown: (rate) => `${bytes(rate)}/s` },
];

/** Puts the plots into `parent`; the function that it returns takes each new state in. */
export function plotsIn(parent) {
  const plots = PLOTS.map((plot) => ({ ...plot, ...figure(parent, plot.title), points: [] }));
  let before;
  return ({ atMs, startedAtMs, totals }) => {
    // Another daemon counts from zero again.
    if (before?.startedAtMs !== startedAtMs) before = undefined;
    if (before !== undefined && atMs > before.atMs) {
      const seconds = (atMs - before.atMs) / 1000;
      for (const { total, points } of plots) {
        // The bytes of a server that was removed are in the total no more.
        points.push({ atMs, rate: Math.max(0, totals[total] - before.totals[total]) / seconds });
      }
    }
    before = { atMs, startedAtMs, totals };
    for (const plot of plots) draw(plot, atMs);
  };
}

function figure(parent, title) {
  const figure = parent.appendChild(document.createElement('figure'));
  const caption = figure.appendChild(document.createElement('figcaption'));
  const name = caption.appendChild(document.createElement('span'));
  name.textContent = title;
  const value = caption.appendChild(document.createElement('strong'));
  const svg = figure.appendChild(document.createElementNS(SVG, 'svg'));
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  const area = svg.appendChild(document.createElementNS(SVG, 'polygon'));
  area.setAttribute('class', 'area');
  const curve = svg.appendChild(document.createElementNS(SVG, 'polyline'));
  curve.setAttribute('class', 'curve');
  return { svg, value, area, curve };
}

function draw({ title, shown, points, svg, value, area, curve }, nowMs) {
  while (points.length > 0 && points[0].atMs < nowMs - KEPT_MS) points.shift();
  if (points.length === 0) {
    value.textContent = '…';
    svg.setAttribute('aria-label', `${title}: nothing measured yet`);
    curve.setAttribute('points', '');
    area.setAttribute('points', '');
    return;
  }
  const most = Math.max(...points.map(({ rate }) => rate));
  const last = points.at(-1).rate;
  const place = ({ atMs, rate }) => {
    const x = WIDTH * (1 - (nowMs - atMs) / KEPT_MS);
    const y = HEIGHT - 2 - (most === 0 ? 0 : (rate / most) * (HEIGHT - 4));
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  };
  const places = points.map(place);
  const [first, end] = [places[0].split(',')[0], places.at(-1).split(',')[0]];
  value.textContent = `${shown(last)} (at most ${shown(most)})`;
  svg.setAttribute('aria-label', `${title}: ${shown(last)} now, at most ${shown(most)}`);
  curve.setAttribute('points', places.join(' '));
  area.setAttribute('points', `${first},${HEIGHT} ${places.join(' ')} ${end},${HEIGHT}`);
}

/** A rate, with as many digits as it is worth. */
function decimal(rate) {
  return rate.toLocaleString('en', { maximumFractionDigits: rate < 10 ? 1 : 0 });
}

/** An amount of bytes in the unit that suits it. */
export function bytes(amount) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let [value, unit] = [amount, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toLocaleString('en', { maximumSignificantDigits: 3 })} ${units[unit]}`;
}
