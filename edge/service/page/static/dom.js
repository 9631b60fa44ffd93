// Small helpers for elements and figures.

/** Make an element: `el('button', {class: 'primary', onclick: save}, 'Save')`. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set text only if it changes, so that selections stay and screen readers are not told again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Seconds in words: 0.4 s, 12 s, 3 min, 5 h, 2 d. */
export function duration(s) {
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`;
}

/** Number with thin spaces between thousands; at most two decimals. */
export const figure = (value) => value.toLocaleString('en-US', {maximumFractionDigits: 2}).replaceAll(',', '\u2009');

/** Size of a file or folder: 4.2 MB, 53 GB. */
export function bytes(value) {
  const [unit, size] = value < 1e6 ? ['kB', value / 1e3] : value < 1e9 ? ['MB', value / 1e6] : ['GB', value / 1e9];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
}

/** Milliseconds with a decimal if they are few. */
export const ms = (value) => (value === null ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

/** Open the large view: a title, and an element that is removed when it closes. */
export function enlarge(title, content) {
  const dialog = document.getElementById('large');
  dialog.querySelector('h2').textContent = title;
  dialog.querySelector('div').replaceChildren(content);
  dialog.showModal();
}

document.getElementById('large').addEventListener('close', (event) => {
  // A picture that is only removed goes on streaming.
  for (const media of event.target.querySelectorAll('img, video')) media.removeAttribute('src');
  event.target.querySelector('div').replaceChildren();
});
