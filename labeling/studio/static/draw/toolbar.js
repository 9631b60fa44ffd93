// Bar above the open frame.

import {el} from '../lib/dom.js';

/**
 * Build the bar.
 * @param {object} tab As for `bindDrawing`.
 * @returns {HTMLElement}
 */
export function toolbar(tab, signal) {
  const {editor, segment, store} = tab;
  const button = (text, key, onclick, title = null) => el('button', {type: 'button', onclick, title}, text, ' ', el('kbd', {}, key));
  const place = el('strong', {}), file = el('span', {class: 'file'});
  const before = button('\u2039', 'A', () => tab.go(-1), 'Previous frame'), after = button('\u203a', 'D', () => tab.go(1), 'Next frame');
  const icon = (text, name, key, onclick) => el('button', {type: 'button', onclick, title: `${name} (${key})`, 'aria-label': name}, text);
  const undo = icon('\u21b6', 'Undo', 'Ctrl+Z', () => editor.undo()), redo = icon('\u21b7', 'Redo', 'Ctrl+Shift+Z', () => editor.redo());
  const copy = button('Copy previous', 'C', () => tab.copy(), 'Copy the boxes of the previous frame');
  const empty = button('Empty', 'E', () => editor.markEmpty(), 'Complete without any box');
  const snap = button('Snap', 'S', () => { segment.snapping = !segment.snapping; }, 'A dragged box snaps to the object in it');
  const preview = button('Preview', 'H', () => { segment.previewing = !segment.previewing; }, 'The pointer shows what a click would give');
  const update = () => {
    const {frame} = editor;
    if (frame === null) return;
    place.textContent = `Frame ${frame}`;
    file.textContent = file.title = store.files[frame] ?? '';
    before.disabled = frame <= 0;
    after.disabled = frame >= store.files.length - 1;
    undo.disabled = !store.canUndo(frame);
    redo.disabled = !store.canRedo(frame);
    copy.disabled = !editor.ready || frame <= 0;
    empty.disabled = !editor.ready;
    snap.setAttribute('aria-pressed', String(segment.snapping));
    preview.setAttribute('aria-pressed', String(segment.previewing));
  };
  for (const source of [editor, segment]) source.addEventListener('changed', update, {signal});
  before.setAttribute('aria-label', 'Previous frame');
  after.setAttribute('aria-label', 'Next frame');
  return el('div', {class: 'bar', role: 'toolbar', 'aria-label': 'Frame'},
    el('span', {class: 'group'}, button('All', 'G', () => tab.overview(), 'All frames'), before, after), place, file,
    el('span', {class: 'group'}, undo, redo), el('span', {class: 'group'}, copy, empty), el('span', {class: 'group'}, snap, preview));
}
