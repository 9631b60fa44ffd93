// Sheet of labeled frames: thumbnails with the boxes and masks as vectors.

import {colorOf} from '../lib/dom.js';
import {filled, svg} from '../lib/svg.js';

function picture({number, width, height, boxes}, classes) {
  const counts = new Map();
  for (const {name} of boxes) counts.set(name, (counts.get(name) ?? 0) + 1);
  const said = [...counts].map(([name, count]) => `${count} ${name}`).join(', ') || 'nothing';
  const shapes = boxes.flatMap(({xyxy: [x1, y1, x2, y2], name, polygons}) => [filled(polygons, colorOf(classes, name)), svg('rect', {
    x: x1, y: y1, width: x2 - x1, height: y2 - y1, fill: 'none', stroke: colorOf(classes, name),
    'stroke-width': 1.5, 'vector-effect': 'non-scaling-stroke',
  })]);
  return svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Frame ${number}: ${said}`},
    svg('image', {href: `api/frames/${number}/thumbnail`, width, height, preserveAspectRatio: 'none'}), ...shapes);
}

/**
 * Show labeled frames, and keep those that are shown already.
 * @param {HTMLElement} sheet
 * @param {Array<{number, width, height, boxes}>} frames
 * @param {string[]} classes
 */
export function showSheet(sheet, frames, classes) {
  const earlier = new Map([...sheet.children].map((made) => [made.dataset.key, made]));
  sheet.replaceChildren(...frames.map((frame) => {
    const key = `${frame.number} ${classes.join()} ${JSON.stringify(frame.boxes)}`;
    const made = earlier.get(key) ?? picture(frame, classes);
    made.dataset.key = key;
    return made;
  }));
}
