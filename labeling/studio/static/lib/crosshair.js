// Crosshair that the arrow keys move over a <frame-view>: places points without a mouse.

import {clamp} from './geometry.js';

const STEP = 12; // screen pixels; Shift moves by one
const DIRECTIONS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

export class Crosshair {
  /** Place [x, y] in pixels of the image; null until an arrow key was pressed. */
  at = null;
  #view;

  /** `moved` is called after every step. */
  constructor(view, moved) {
    this.#view = view;
    /** Bindings for lib/keys.js. */
    this.bindings = {};
    for (const [key, [dx, dy]] of Object.entries(DIRECTIONS)) {
      this.bindings[key] = ['Move the crosshair', () => this.#move(dx * STEP, dy * STEP, moved)];
      this.bindings[`Shift+${key}`] = ['Move the crosshair by one pixel', () => this.#move(dx, dy, moved)];
    }
  }

  /** Shapes that show it. */
  get shapes() {
    if (!this.at) return [];
    const [x, y] = this.at, arm = 14 / this.#view.scale;
    return [{line: [[x - arm, y], [x + arm, y]], color: '#ffffff'}, {line: [[x, y - arm], [x, y + arm]], color: '#ffffff'}];
  }

  #move(dx, dy, moved) {
    const {width, height, scale} = this.#view;
    const [x, y] = this.at ?? [width / 2, height / 2];
    this.at = [clamp(x + dx / scale, 0, width), clamp(y + dy / scale, 0, height)];
    moved(this.at);
  }
}
