// Keys and gestures of the Draw tab.

import {bind, boxBindings} from '../lib/keys.js';
import {IGNORE} from './editor.js';

const COMPLETE = 'Complete: opens the frame to draw next, or the next frame if none is suggested';

/**
 * Bind the keys while a frame is open.
 * @param {object} tab {editor, segment, view, go(by), overview(), escape(), askClass(), newBox(), copy(), complete()}
 */
export function bindDrawing(tab, signal) {
  const {editor, segment, view} = tab;
  const told = (effect) => [effect, () => {}];
  const gestures = {
    Drag: told('New box; it snaps to the object in it'),
    Click: told('Mask of the object there, or select the box there'),
    'Shift+Click': told('Add what is there to the mask'),
    'Right click': told('Take what is there away from the mask'),
    'Ctrl+Drag': told('New box on top of the selected one'),
    'Ctrl+Click': told('Mask of an object inside a box'),
    Wheel: told('Zoom; the middle button, Space or Alt with a drag moves the image'),
  };
  const keys = {
    m: ['Next of the masks that the clicks may mean', () => segment.cycle()],
    n: ['New box in the middle', () => tab.newBox()],
    Delete: ['Delete the box', () => editor.removeSelected()],
    Backspace: ['Delete the box', () => editor.removeSelected()],
    l: ['Type the class', () => tab.askClass()],
    Enter: [COMPLETE, () => tab.complete()],
    'Ctrl+Enter': [COMPLETE, () => tab.complete()],
    e: ['Complete without any box', () => editor.markEmpty()],
    c: ['Copy the boxes of the previous frame', () => tab.copy()],
    'Ctrl+z': ['Undo', () => editor.undo()],
    'Ctrl+Shift+z': ['Redo', () => editor.redo()],
    'Ctrl+y': ['Redo', () => editor.redo()],
    d: ['Next frame', () => tab.go(1)],
    a: ['Previous frame', () => tab.go(-1)],
    w: ['Select the next box', () => editor.selectNext(1)],
    q: ['Select the previous box', () => editor.selectNext(-1)],
    Escape: ['Stop, or select nothing', () => tab.escape()],
    s: ['Snapping on or off', () => { segment.snapping = !segment.snapping; }],
    h: ['Preview of a click on or off', () => { segment.previewing = !segment.previewing; }],
    f: ['Whole frame in view', () => view.fit()],
    '+': ['Zoom in', () => view.zoom(1.4)],
    '-': ['Zoom out', () => view.zoom(1 / 1.4)],
    g: ['All frames', () => tab.overview()],
    0: ['Class _ignore: an object that must not be labeled', () => editor.choose(IGNORE)],
  };
  for (let number = 1; number <= 9; number++) {
    keys[number] = ['Class of the next box and of the selected one', () => {
      const name = editor.classes[number - 1];
      if (name) editor.choose(name);
    }];
  }
  bind(gestures, signal);
  const boxKeys = boxBindings('the selected box', (x, y) => editor.nudge(x, y), (sides, x, y) => editor.stretch(sides, x, y));
  for (const [key, by] of [['ArrowLeft', -1], ['ArrowRight', 1]]) {
    const [effect, move] = boxKeys[key];
    boxKeys[key] = [`${effect}; without one, go to the frame beside`, () => { if (editor.selected) move(); else tab.go(by); }];
  }
  bind({...keys, ...boxKeys}, signal);
  const space = (down) => (event) => {
    if (event.key !== ' ' || event.target.closest?.('input, select, textarea, dialog, button, a, [role=option]')) return;
    event.preventDefault();
    view.panning = down;
    view.style.cursor = down ? 'grab' : 'crosshair';
  };
  document.addEventListener('keydown', space(true), {signal});
  document.addEventListener('keyup', space(false), {signal});
  window.addEventListener('blur', () => { view.panning = false; }, {signal});
}
