// Draw tab: grid of all frames, the frame that is being drawn on, and its boxes.

import {attempt, el, notice, style} from '../lib/dom.js';
import '../lib/frame-view.js';
import {ClassPicker} from '../draw/class-picker.js';
import {bindDrawing} from '../draw/draw-keys.js';
import {Editor} from '../draw/editor.js';
import {FrameGrid} from '../draw/grid.js';
import {Panel} from '../draw/panel.js';
import {Pointer} from '../draw/pointer.js';
import {attachProposals} from '../draw/proposals.js';
import {Segment} from '../draw/segment.js';
import {Store, newBox} from '../draw/store.js';
import {toolbar} from '../draw/toolbar.js';

const store = new Store();
const NEW_BOX = 0.2; // of the view, of a box made by key

/**
 * For other parts of the tab: `frame`, `boxes`, `colorOf`, `panel`, `openFrame`, `addBoxes`,
 * `isOpen`, `setLayer`, and the events `frame-opened` (detail {frame}; null if the grid fills the tab) and `boxes-changed`.
 */
class StudioDraw extends HTMLElement {
  #closed = new AbortController();
  #signal = this.#closed.signal;
  #view = el('frame-view', {tabindex: 0, role: 'application', 'aria-label': 'Frame: drag draws a box, N makes one by key'});
  #editor = new Editor(store, this.#signal);
  #segment = new Segment(this.#editor, this.#view, this.#signal);
  #pointer = new Pointer(this.#view, this.#editor, this.#segment, this.#signal);
  #panel = new Panel(this.#editor, (beside) => this.#askClass(beside), () => this.#complete(), this.#signal);
  #grid = new FrameGrid();
  #picker = new ClassPicker();
  #unreadable = el('p', {class: 'unreadable', role: 'status', hidden: true});
  #middle = el('div', {class: 'middle'});
  #layers = new Map();
  #keys = null; // AbortController of the keys of an open frame
  #proposals = null;
  #ahead = null; // image of the frame that Enter opens

  /** Number of the open frame; null if none is. */
  get frame() { return this.#editor.frame; }

  /** Boxes of the open frame: [{id, xyxy, name, polygons}], not to be changed in place. */
  get boxes() { return this.#editor.boxes; }

  /** True if there is a complete frame with a box. */
  get hasExemplars() { return [...store.drawn.values()].some(({boxes, complete}) => boxes && complete); }

  /** True if a frame can be drawn and is not complete. */
  isOpen(frame) { return !store.drawn.get(frame)?.complete && !store.unreadable.has(frame); }

  /** Color of a class. */
  colorOf(name) { return this.#editor.colorOf(name); }

  /** Element of the right column for proposals. */
  get panel() { return this.#panel.proposals; }

  /** Add boxes to the open frame: one step of undo, saved at once. `complete` stays as it is unless given. */
  addBoxes(boxes, {complete} = {}) {
    if (!this.#editor.ready) return;
    const added = boxes.map(({xyxy, name, polygons}) => newBox(xyxy, name, polygons ?? []));
    store.change(this.frame, {boxes: [...this.boxes, ...added], complete});
  }

  /** While proposals are shown on the open frame, leaving it does not complete it. */
  set proposed(some) { this.#editor.proposed = some; }

  /** Shapes of <frame-view> that are drawn under the boxes, by a name of the layer. */
  setLayer(name, shapes) {
    this.#layers.set(name, shapes);
    this.#redraw();
  }

  /** Show on frames without boxes how many objects are proposed: frame to number. */
  showHints(hints) { this.#grid.hints = hints; }

  /** Open a frame; resolves once it is shown. */
  async openFrame(number) {
    if (this.frame === null) location.hash = `draw/${number}`;
    else history.replaceState(null, '', `#draw/${number}`);
    await this.#open(number);
  }

  async connectedCallback() {
    style('draw/draw.css');
    this.#grid.attach(store, this.#signal);
    this.#middle.append(toolbar(this.#tab(), this.#signal), this.#view, this.#unreadable);
    this.append(this.#grid, this.#middle, this.#panel.element, this.#picker);
    this.#grid.addEventListener('open', ({detail}) => this.openFrame(detail.frame));
    this.#editor.addEventListener('changed', () => {
      this.#redraw();
      this.dispatchEvent(new Event('boxes-changed'));
    });
    for (const source of [this.#segment, this.#pointer]) source.addEventListener('changed', () => this.#redraw());
    this.#editor.addEventListener('selected', () => this.#redraw());
    this.#editor.addEventListener('unnamed', async () => this.#editor.nameFirst(await this.#pick('class of this box')));
    store.addEventListener('conflict', ({detail}) => notice(`Another page changed frame ${detail.frame}: its boxes are shown. Ctrl+Z brings yours back.`), {signal: this.#signal});
    store.addEventListener('refused', ({detail}) => notice(`frame ${detail.frame} is not saved: ${detail.message}`), {signal: this.#signal});
    store.addEventListener('reload', () => { if (this.frame !== null) this.#open(this.frame); }, {signal: this.#signal});
    for (const part of [this.#middle, this.#panel.element]) {
      part.addEventListener('click', ({detail, target}) => { if (detail === 1 && target.closest('button, [type=checkbox]')) this.#view.focus({preventScroll: true}); }); // keys go on to the frame
    }
    window.addEventListener('beforeunload', () => this.#editor.leave(), {signal: this.#signal, capture: true}); // before all is sent
    window.addEventListener('hashchange', () => this.#route(), {signal: this.#signal});
    await attempt(() => store.load());
    this.#proposals = attachProposals(this, this.#signal);
    await this.#route();
  }

  disconnectedCallback() {
    this.#editor.leave();
    this.#keys?.abort();
    this.#closed.abort();
  }

  async #route() {
    const [tab, place] = location.hash.slice(1).split('/'), number = Number(place);
    if (tab !== 'draw') return;
    if (place && Number.isInteger(number) && number >= 0 && number < store.files.length) {
      if (number !== this.frame) await this.#open(number);
    } else {
      this.#close();
    }
  }

  #close() {
    this.#picker.cancel();
    if (this.#keys) {
      document.activeElement.blur();
      this.#grid.focusLast();
    }
    this.#keys?.abort();
    this.#keys = null;
    this.#editor.open(null);
    this.toggleAttribute('open', false);
    this.#grid.open = null;
    this.dispatchEvent(new CustomEvent('frame-opened', {detail: {frame: null}}));
  }

  async #open(number) {
    if (number !== this.frame) this.#picker.cancel();
    this.#pointer.cancel();
    this.#segment.stopPreview();
    const again = number === this.frame;
    if (!this.#keys) {
      this.#keys = new AbortController();
      bindDrawing(this.#tab(), this.#keys.signal);
    }
    this.toggleAttribute('open', true);
    if (!again) {
      this.#layers.clear();
      this.#editor.open(number);
    }
    this.#grid.open = number;
    if (document.activeElement === document.body || this.#grid.contains(document.activeElement)) this.#view.focus({preventScroll: true});
    await attempt(async () => {
      const shown = store.unreadable.has(number) ? null : this.#view.show(`api/frames/${number}/image`).catch(() => null);
      await store.visit(number);
      if (number !== this.frame) return;
      const reason = store.unreadable.get(number);
      this.#unreadable.hidden = !reason;
      this.#unreadable.textContent = reason ?? '';
      if (reason) this.#view.clear(); else await (shown ?? this.#view.show(`api/frames/${number}/image`));
      if (number !== this.frame) return;
      this.#redraw();
      this.dispatchEvent(new CustomEvent('frame-opened', {detail: {frame: number}}));
      await this.#prefetch(number, !reason);
    });
  }

  /** Encode this frame, then load and encode the one that Enter opens while this one is drawn. */
  async #prefetch(number, readable) {
    if (readable) await this.#segment.encode(number);
    const next = this.#following;
    if (next >= store.files.length || number !== this.frame) return;
    await store.visit(next);
    if (store.unreadable.has(next) || number !== this.frame) return;
    this.#ahead = new Image();
    this.#ahead.src = `api/frames/${next}/image`;
    await this.#segment.encode(next);
  }

  #redraw() {
    const {selected} = this.#editor, {preview, session} = this.#segment, {drag} = this.#pointer;
    const color = this.#editor.colorOf(this.#editor.current);
    const boxes = this.boxes.map((box) => ({...box, label: box.name, color: this.colorOf(box.name), selected: box === selected}));
    const passing = [];
    if (preview && !drag) passing.push({polygons: preview.masks[0].polygons, color, fill: 0.15, dashed: true});
    if (drag) passing.push({xyxy: drag, color});
    session?.points.forEach((point, at) => passing.push({points: [point], color: session.labels[at] ? '#ffffff' : '#ff7b70'}));
    this.#view.shapes = [...[...this.#layers.values()].flat(), ...boxes.filter((box) => !box.selected), ...boxes.filter((box) => box.selected), ...passing];
    this.#view.redraw();
  }

  /** Operations for the keys and the bar. */
  #tab() {
    return {
      editor: this.#editor, segment: this.#segment, view: this.#view, store,
      go: (by) => this.#go(by),
      overview: () => { location.hash = 'draw'; },
      escape: () => { if (!this.#pointer.cancel()) this.#editor.select(null); },
      askClass: () => this.#askClass(),
      newBox: () => this.#newBox(),
      copy: () => attempt(async () => {
        const copied = await this.#editor.copyFromBefore();
        if (!copied) notice('The previous frame has no boxes.', {plain: true});
      }),
      complete: () => this.#complete(),
    };
  }

  #complete() {
    this.#editor.markComplete(true);
    this.#go(this.#following - this.frame);
  }

  /** Frame that Enter opens: on film the one beside is almost the same, so the suggested one comes first. */
  get #following() { return this.#proposals?.next ?? this.frame + 1; }

  #go(by) {
    const to = this.frame + by;
    if (to >= 0 && to < store.files.length) this.openFrame(to);
  }

  #newBox() {
    if (!this.#editor.ready) return;
    const xyxy = this.#view.middle(NEW_BOX);
    if (xyxy) this.#editor.add(xyxy);
  }

  async #askClass(beside) {
    const name = await this.#pick('class', beside);
    if (name) this.#editor.choose(name);
  }

  /** Ask for a class beside an element, the selected box, or in the middle. */
  #pick(hint, beside) {
    const {selected} = this.#editor, rect = (beside ?? this.#view).getBoundingClientRect();
    let place = [rect.left, rect.bottom + 4];
    if (!beside && selected) place = this.#view.toPage([selected.xyxy[0], selected.xyxy[3]]);
    else if (!beside) place = [rect.left + rect.width / 2, rect.top + rect.height / 3];
    return this.#picker.ask(this.#editor.classes, place, {colorOf: (name) => this.colorOf(name), hint});
  }
}

customElements.define('studio-draw', StudioDraw);
