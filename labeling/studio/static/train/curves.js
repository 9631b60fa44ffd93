// Curves as an <svg> with axes, and the same figures as a table.

import {el, swatch} from '../lib/dom.js';
import {svg} from '../lib/svg.js';

const COLORS = ['#3ecf7a', '#5aa9ff', '#ffb13e', '#ff6b9d', '#b78cff'];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 240, 44, 12, 12, 26];

/** About `count` round values from `low` to `high`. */
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1)}, (_, place) => (first + place) * step);
}

const short = (value) => String(Number(value.toPrecision(3)));

/**
 * Draw curves over time.
 * @param {string} title
 * @param {Object<string, Array<[number, number]>>} curves Points [seconds, value] by name.
 * @param {{high?: number}} options `high`: end of the value axis; otherwise it fits the values.
 */
export function chart(title, curves, {high} = {}) {
  const points = Object.values(curves).flat();
  const end = Math.max(1, ...points.map(([at]) => at));
  const top = high ?? (Math.max(0, ...points.map(([, value]) => value)) * 1.05 || 1);
  const x = (at) => LEFT + (WIDTH - LEFT - RIGHT) * at / end;
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top;
  const text = (place, said, anchor) => svg('text', {...place, 'text-anchor': anchor, class: 'tick'}, said);
  const axes = [
    ...ticks(0, top, 5).flatMap((value) => [
      svg('line', {x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: 'grid'}),
      text({x: LEFT - 6, y: y(value) + 4}, short(value), 'end'),
    ]),
    ...ticks(0, end, 6).map((at) => text({x: x(at), y: HEIGHT - 8}, `${short(at)} s`, at > end * 0.97 ? 'end' : 'middle')),
  ];
  const lines = Object.entries(curves).flatMap(([, curve], number) => {
    const color = COLORS[number % COLORS.length];
    const dots = curve.length > 12 ? [] : curve.map(([at, value]) => svg('circle', {cx: x(at), cy: y(value), r: 3, fill: color}));
    return [svg('polyline', {points: curve.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' '), fill: 'none', stroke: color, 'stroke-width': 2}), ...dots];
  });
  const legend = Object.entries(curves).map(([name, curve], number) => el('span', {},
    swatch(COLORS[number % COLORS.length]), name, curve.length ? ` ${short(curve.at(-1)[1])}` : ''));
  const said = Object.entries(curves).map(([name, curve]) => `${name} ${curve.length ? `${short(curve[0][1])} to ${short(curve.at(-1)[1])}` : 'unknown'}`).join(', ');
  return el('figure', {class: 'chart'}, el('figcaption', {}, el('b', {}, title), ...legend),
    svg('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${title} over time: ${said}`}, ...axes, ...lines));
}

/** The figures of the epochs as a table. */
export function epochsTable(epochs) {
  const losses = Object.keys(epochs[0]?.loss ?? {});
  const cell = (value, digits) => el('td', {}, value === null ? '' : value.toFixed(digits));
  return el('details', {}, el('summary', {}, 'As a table'), el('div', {class: 'scroll', tabindex: 0}, el('table', {},
    el('thead', {}, el('tr', {}, ...['Epoch', 'Seconds', ...losses, 'mAP50', 'mAP50-95'].map((name) => el('th', {scope: 'col'}, name)))),
    el('tbody', {}, ...epochs.map(({number, seconds, loss, map50, map50_95}) => el('tr', {},
      el('td', {}, String(number)), cell(seconds, 0), ...losses.map((name) => cell(loss[name] ?? null, 3)), cell(map50, 3), cell(map50_95, 3)))))));
}
