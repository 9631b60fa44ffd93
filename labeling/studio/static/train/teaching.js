// Course of `edgeloop teach`: who answers now, frames per second and mAP50 over time, and what happened.

import {counted, el} from '../lib/dom.js';
import {chart} from './curves.js';

const LINES = 6; // of what happened last

/** Elements that show a teaching; none before the first. */
export function teachingCourse({moments, bundle}) {
  if (!moments.length) return [];
  const now = moments.at(-1);
  const scored = moments.filter(({map50}) => map50 !== null);
  const events = moments.flatMap(({time_s, events: lines}) => lines.map((line) => [time_s, line])).slice(-LINES);
  const said = now.answers ? `Answering: ${now.answers}; ${now.fps.toFixed(1)} frames/s; ${counted(now.kept, 'frame')} kept` : 'nobody answers yet: the teacher learns';
  return [
    el('h2', {}, 'Teaching'),
    el('p', {role: 'status'}, said),
    bundle ? el('p', {class: 'faint'}, 'Detector: ', el('code', {}, bundle)) : null,
    el('div', {class: 'charts'},
      chart('Speed', {'frames/s': moments.map(({time_s, fps}) => [time_s, fps])}),
      scored.length ? chart('Answers', {mAP50: scored.map(({time_s, map50}) => [time_s, map50])}, {high: 1}) : null),
    el('ul', {class: 'faint'}, ...events.map(([at, line]) => el('li', {}, `${Math.round(at)} s: ${line}`))),
  ].filter(Boolean);
}
