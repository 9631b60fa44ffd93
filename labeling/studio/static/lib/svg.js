// Elements of SVG.

/** Make an SVG element: `svg('line', {x1: 0, x2: 9, y1: 0, y2: 0})`. */
export function svg(name, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Polygons of one object, each x, y, x, y, ..., as a mask. */
export function filled(polygons, color) {
  const path = polygons.map((flat) => `M${flat.map((value) => value.toFixed(1)).join(' ')}Z`).join('');
  return svg('path', {d: path, fill: color, 'fill-opacity': 0.3, 'fill-rule': 'evenodd', stroke: color, 'vector-effect': 'non-scaling-stroke'});
}
