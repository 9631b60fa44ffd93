// Draw tab: grid of all frames, the frame that is being drawn on, and its boxes.

import {attempt, el, notice, style} from '../lib/dom.js';
import '../lib/frame-view.js';
import {Editor} from '../draw/editor.js';
import {Store, newBox} from '../draw/store.js';

const store = new Store();

/**
 * For other parts of the tab: `frame`, `boxes`, `panel`, `openFrame`, `addBoxes`, `setLayer`, and the events
 * `frame-opened` (detail {frame}; null if the grid fills the tab) and `boxes-changed`.
 */
class StudioDraw extends HTMLElement {
  #closed = new AbortController();
  #editor = new Editor(store, this.#closed.signal);
  #view = el('frame-view', {tabindex: 0});
  #panel = el('section', {class: 'proposals', 'aria-label': 'Proposals'});
  #layers = new Map();

  /** Number of the open frame; null if none is. */
  get frame() { return this.#editor.frame; }

  /** Boxes of the open frame: [{id, xyxy, name, polygons}], not to be changed in place. */
  get boxes() { return this.#editor.boxes; }

  /** Class names, in the order of the number keys. */
  get classes() { return this.#editor.classes; }

  /** Color of a class. */
  colorOf(name) { return this.#editor.colorOf(name); }

  /** Element of the right column for proposals. */
  get panel() { return this.#panel; }

  /** Add boxes to the open frame: one step of undo, saved at once. `complete` stays as it is unless given. */
  addBoxes(boxes, {complete} = {}) {
    if (!this.#editor.ready) return;
    const added = boxes.map(({xyxy, name, polygons}) => newBox(xyxy, name, polygons ?? []));
    store.change(this.frame, {boxes: [...this.boxes, ...added], complete});
  }

  /** Shapes of <frame-view> that are drawn under the boxes, by a name of the layer. */
  setLayer(name, shapes) {
    this.#layers.set(name, shapes);
    this.#redraw();
  }

  async openFrame(number) {
    location.hash = `draw/${number}`;
    await this.#open(number);
  }

  async connectedCallback() {
    style('draw/draw.css');
    this.append(this.#view, this.#panel);
    this.#editor.addEventListener('changed', () => {
      this.#redraw();
      this.dispatchEvent(new Event('boxes-changed'));
    });
    await attempt(async () => {
      await store.load();
      await this.#open(Number(location.hash.split('/')[1] ?? 0));
    });
  }

  disconnectedCallback() { this.#closed.abort(); }

  async #open(number) {
    if (!(number >= 0 && number < store.files.length)) return;
    this.#editor.open(number);
    await store.visit(number);
    if (!store.unreadable.has(number)) await this.#view.show(`api/frames/${number}/image`);
    this.dispatchEvent(new CustomEvent('frame-opened', {detail: {frame: number}}));
  }

  #redraw() {
    const boxes = this.boxes.map((box) => ({...box, label: box.name, color: this.colorOf(box.name)}));
    this.#view.shapes = [...[...this.#layers.values()].flat(), ...boxes];
    this.#view.redraw();
  }
}

customElements.define('studio-draw', StudioDraw);
