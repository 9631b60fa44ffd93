// Elements of SVG.

/** Make an SVG element: `svg('line', {x1: 0, x2: 9, y1: 0, y2: 0})`. */
export function svg(name, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
