// Cards of the cameras: picture, state, figures.

import {duration, el, enlarge, figure, ms, say} from './dom.js';
import {follow, setLive} from './pictures.js';

const GOOD = {open: 'right', waiting: 'mark', silent: 'mark', frozen: 'mark'};
const DRIFT = {
  blind: 'Drift: next to nothing is to be seen',
  moved: 'Drift: the camera was moved',
  unfamiliar: 'Drift: unlike the training frames',
};
const cards = new Map();

/** Show the state of all cameras. */
export function showCameras(cameras) {
  const place = document.getElementById('cameras');
  for (const camera of cameras) {
    if (!cards.has(camera.name)) {
      cards.set(camera.name, makeCard(camera.name));
      place.append(cards.get(camera.name).article);
    }
    update(cards.get(camera.name), camera);
  }
}

function makeCard(name) {
  const img = el('img', {alt: ''});
  const over = el('span', {hidden: ''});
  const stage = el('button', {class: 'stage', type: 'button', 'aria-label': `${name}: live picture, large`, onclick: () => openLive(name)}, img, over);
  const [status, reason, rest] = [el('p', {class: 'chip'}), el('p', {class: 'reason'}), el('div', {class: 'small'})];
  const values = {};
  const figures = el('dl', {class: 'figures'}, ...['fps', 'median', 'p95', 'age'].map((label) => {
    values[label] = el('dd');
    return el('div', {}, el('dt', {}, label), values[label]);
  }));
  const title = el('h3', {id: `camera-${name}`}, name);
  const article = el('article', {'aria-labelledby': `camera-${name}`}, stage,
    el('div', {}, el('div', {class: 'title'}, title, status), figures, reason, rest));
  follow(img, name);
  return {article, img, over, stage, status, reason, rest, values};
}

function update(card, camera) {
  const away = camera.status !== 'open';
  card.article.classList.toggle('away', away);
  card.status.className = `chip ${GOOD[camera.status] ?? 'wrong'}`;
  say(card.status, camera.status);
  card.over.hidden = !away;
  say(card.over, camera.age_s === null ? 'no picture yet' : `${camera.status}; the last picture is ${duration(camera.age_s)} old`);
  card.stage.classList.toggle('empty', camera.age_s === null);
  if (camera.width) card.stage.style.aspectRatio = `${camera.width} / ${camera.height}`;
  setLive(card.img, camera.fates.processed + camera.fates.unchanged > 0);
  say(card.values.fps, camera.fps.toFixed(1));
  say(card.values.median, ms(camera.latency_p50_ms));
  say(card.values.p95, ms(camera.latency_p95_ms));
  say(card.values.age, camera.age_s === null ? '–' : duration(camera.age_s));
  const drift = DRIFT[camera.drift] ?? '';
  const reason = [camera.reason, drift].filter(Boolean).join('; ');
  card.reason.hidden = !reason;
  say(card.reason, reason);
  const lines = facts(camera);
  while (card.rest.childElementCount < lines.length) card.rest.append(el('p'));
  [...card.rest.children].forEach((line, number) => say(line, lines[number] ?? ''));
}

/** Lines of text: model, frames, events. */
function facts(camera) {
  const fates = Object.entries(camera.fates).filter(([fate, count]) => count || fate === 'processed');
  return [
    [`Model ${camera.model}`, camera.width && `${camera.width}×${camera.height}`],
    [...fates.map(([fate, count]) => `${figure(count)} ${fate}`), camera.reconnects && `${figure(camera.reconnects)} reconnects`,
      camera.stalled_s && `stalled for ${duration(camera.stalled_s)}`],
    [...Object.entries(camera.events).map(([name, count]) => `${figure(count)} ${name.replaceAll('_', ' ')}`)],
  ].map((line) => line.filter(Boolean).join(' · ')).filter(Boolean);
}

function openLive(name) {
  enlarge(name, el('img', {src: `cameras/${name}.mjpg`, alt: `Live picture of ${name} with boxes and zones`}));
}
