// Keys of the open tab. Each binding says what it does, so that the help is always complete.

const groups = [];

/** Text of a key event, such as "a", "Shift+Tab", "Ctrl+z". Letters are lower case; Shift counts for named keys. */
export function keyOf(event) {
  const named = event.key.length > 1;
  const key = named ? event.key : event.key.toLowerCase();
  return (event.ctrlKey || event.metaKey ? 'Ctrl+' : '') + (event.altKey ? 'Alt+' : '') + (event.shiftKey && (named || event.ctrlKey || /[a-z]/.test(key)) ? 'Shift+' : '') + key;
}

/**
 * Bind keys until `signal` is aborted.
 * @param {Object<string, [string, function(KeyboardEvent): void]>} bindings Key as of `keyOf`, to its effect in words and in code.
 */
export function bind(bindings, signal) {
  groups.push(bindings);
  signal.addEventListener('abort', () => groups.splice(groups.indexOf(bindings), 1));
}

/**
 * Bindings of the arrows that move a box, px of the image: the box, with Shift by ten, with Alt one of its sides.
 * @param {string} noun The box in words.
 * @param {function(number, number): void} move
 * @param {function([number, number], number, number): void} stretch Gets the side first, as of `resized`.
 */
export function boxBindings(noun, move, stretch) {
  const bindings = {};
  for (const [arrow, [x, y]] of Object.entries({ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]})) {
    bindings[arrow] = [`Move ${noun}`, () => move(x, y)];
    bindings[`Shift+${arrow}`] = [`Move ${noun} by 10 px`, () => move(10 * x, 10 * y)];
    bindings[`Alt+${arrow}`] = [`Move the right or lower side of ${noun}`, () => stretch([Math.abs(x), Math.abs(y)], x, y)];
    bindings[`Alt+Shift+${arrow}`] = [`Move the left or upper side of ${noun}`, () => stretch([-Math.abs(x), -Math.abs(y)], x, y)];
  }
  return bindings;
}

const SIGNS = {' ': 'Space', ArrowLeft: '\u2190', ArrowRight: '\u2192', ArrowUp: '\u2191', ArrowDown: '\u2193', Escape: 'Esc'};
const ARROWS = ['\u2190', '\u2192', '\u2191', '\u2193'], DIGITS = [...'123456789'];

/** Keys as people read them: letters upper case, all arrows or digits as one. */
function read(keys) {
  let signs = keys.map((key) => key.split(/\+(?=.)/).map((part) => SIGNS[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join('+'));
  for (const [all, word] of [[ARROWS, 'Arrows'], [DIGITS, '1 \u2013 9']]) {
    const before = signs[0].slice(0, signs[0].length - 1);
    if (all.every((sign) => signs.includes(before + sign))) signs = [before + word, ...signs.filter((sign) => !all.some((one) => sign === before + one))];
  }
  return signs;
}

/** All bindings of now: [keys, effect]; keys of the same effect are one row. */
export function listed() {
  const rows = new Map();
  for (const group of groups) {
    for (const [key, [effect]] of Object.entries(group)) rows.set(effect, [...(rows.get(effect) ?? []), key]);
  }
  return [...rows].map(([effect, keys]) => [read(keys), effect]);
}

document.addEventListener('keydown', (event) => {
  const on = event.composedPath()[0];
  if (on.closest?.('input:not([type=checkbox]), select, textarea, dialog')) return;
  const key = keyOf(event);
  if ((key === 'Enter' || key === ' ') && on.closest?.('button, a, input')) return; // presses what has the focus
  for (const group of [...groups].reverse()) {
    if (group[key]) {
      event.preventDefault();
      group[key][1](event);
      return;
    }
  }
});
