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

/** All bindings of now: [key, effect]; keys of the same effect are one row. */
export function listed() {
  const rows = new Map();
  for (const group of groups) {
    for (const [key, [effect]] of Object.entries(group)) rows.set(effect, [...(rows.get(effect) ?? []), key]);
  }
  return [...rows].map(([effect, keys]) => [keys, effect]);
}

document.addEventListener('keydown', (event) => {
  const on = event.composedPath()[0];
  if (on.closest?.('input, select, textarea, dialog')) return;
  const key = keyOf(event);
  if ((key === 'Enter' || key === ' ') && on.closest?.('button, a')) return; // presses what has the focus
  for (const group of [...groups].reverse()) {
    if (group[key]) {
      event.preventDefault();
      group[key][1](event);
      return;
    }
  }
});
