// List of the newest events, with picture and clip.

import {el, enlarge} from './dom.js';

const MOST = 50;
const shown = new Set();

/** Show the newest events, as `api/newest` gives them: the newest first. */
export function showEvents(events) {
  const list = document.getElementById('events');
  const first = shown.size === 0;
  const items = events.slice(0, MOST).map((event) => item(event, !first && !shown.has(event.values.id)));
  for (const event of events) shown.add(event.values.id);
  list.replaceChildren(...items);
  document.getElementById('no-events').hidden = items.length > 0;
}

function item({values, picture, clip}, isNew) {
  const what = words(values);
  const moment = new Date(values.wall_time * 1000);
  const open = picture && el('button', {class: 'picture', type: 'button', 'aria-label': `Picture: ${what}`, onclick: () => enlarge(what, el('img', {src: picture, alt: what}))},
    el('img', {src: picture, alt: '', loading: 'lazy'}));
  const links = clip && (clip.endsWith('.mp4')
    ? el('button', {type: 'button', 'aria-label': `Clip: ${what}`, onclick: () => play(what, clip)}, 'Clip')
    : el('a', {href: clip, download: '', 'aria-label': `Clip to download: ${what}`}, 'Clip'));
  const time = el('time', {datetime: moment.toISOString()}, moment.toLocaleTimeString('en-GB'));
  const line = el('p', {class: 'small'}, time, ` · ${values.camera}`, links ? ' ' : null, links);
  return el('li', {class: `${open ? '' : 'plain'} ${isNew ? 'new' : ''}`}, open, el('div', {}, el('p', {}, what), line));
}

function words(event) {
  const [thing, place] = [`${event.class} #${event.tracker_id}`, event.place];
  if (event.event === 'enter') return `${thing} entered ${place}`;
  if (event.event === 'leave') return `${thing} left ${place} after ${event.dwell_s?.toFixed(1)} s`;
  if (event.event === 'dwell') return `${thing} stays in ${place}`;
  return `${thing} crossed ${place} (${event.direction})`;
}

function play(title, clip) {
  enlarge(title, el('video', {src: clip, controls: '', autoplay: '', muted: '', playsinline: ''}));
}
