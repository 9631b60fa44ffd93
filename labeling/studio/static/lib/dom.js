// Small helpers for elements.

/** Make an element: `el('button', {class: 'primary', onclick: save}, 'Save')`. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A number and what it counts: "1 epoch", "3 epochs". */
export const counted = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** Show one line at the bottom; errors stay 8 s. */
export function notice(text, {plain = false} = {}) {
  const line = el('p', {class: plain ? 'plain' : null}, String(text?.message ?? text));
  document.getElementById('notices').replaceChildren(line);
  setTimeout(() => line.remove(), plain ? 3000 : 8000);
}

/** Run an async action; its error is shown as a notice. Gives undefined then. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== 'AbortError') notice(error);
    return undefined;
  }
}

/** Words of a command line, for <code class="command">: lines break between them only. */
export const words = (command) => command.split(' ').flatMap((word) => [el('span', {}, word), ' ']).slice(0, -1);

/** Load the style sheet of a tab once. */
export function style(href) {
  if (!document.querySelector(`link[href="${href}"]`)) document.head.append(el('link', {rel: 'stylesheet', href}));
}

/** Colors of the classes by number: PALETTE of edge/draw/annotate.py. "_ignore" is gray. */
const COLORS = ['#1e90ff', '#e74c3c', '#2ecc71', '#f1c412', '#b05cd4', '#17bcbe', '#f07e22', '#ff69b4', '#167f50', '#89cff0'];
export const colorOf = (names, name) => (name === '_ignore' ? '#9aa3ad' : COLORS[Math.max(0, names.indexOf(name)) % COLORS.length]);

/** Spot of a color, beside what has it. */
export function swatch(color) {
  const made = el('i', {class: 'swatch'});
  made.style.background = color;
  return made;
}
