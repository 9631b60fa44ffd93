// Editing of the open frame: its boxes, the selected one, and the class of the next one.

import {colorOf} from '../lib/dom.js';
import {moved, stretched} from '../lib/geometry.js';
import {newBox} from './store.js';

export const IGNORE = '_ignore';
const FIRST_CLASS = 'object'; // of a box whose class nobody named

/** Events: `changed` (boxes, frame or classes), `selected`, `unnamed` (the first box has no class yet). */
export class Editor extends EventTarget {
  frame = null;
  /** True while proposals are shown on the frame. */
  proposed = false;
  #store;
  #selected = null;
  #current = null;
  #drawn = null; // frame whose first box was drawn since it was opened

  constructor(store, signal) {
    super();
    this.#store = store;
    store.addEventListener('changed', ({detail}) => { if (detail.frame === this.frame) this.#changed(); }, {signal});
    store.addEventListener('classes', () => this.#changed(), {signal});
    store.addEventListener('renamed', ({detail}) => { if (this.#current === detail.name) this.current = detail.to; }, {signal});
  }

  get store() { return this.#store; }

  /** The open frame, or undefined before it is loaded. */
  get state() { return this.frame === null ? undefined : this.#store.at(this.frame); }

  get boxes() { return this.state?.boxes ?? []; }

  /** True if boxes can be drawn. */
  get ready() { return Boolean(this.state?.width); }

  /** Classes of the number keys 1, 2, ...; without "_ignore", which is 0. */
  get classes() { return this.#store.names.filter((name) => name !== IGNORE); }

  /** Class of the next box; null if there is no class yet. */
  get current() {
    if (this.#current === IGNORE || this.#store.names.includes(this.#current)) return this.#current;
    return this.classes[0] ?? null;
  }

  set current(name) { this.#current = name; this.#changed(); }

  colorOf(name) { return colorOf(this.classes, name ?? this.classes[0]); }

  /** True if the frame becomes complete when it is left: a person drew all its boxes, and no proposals are open. */
  get completesWhenLeft() {
    return this.#drawn === this.frame && this.ready && this.boxes.length > 0 && !this.state.complete && !this.proposed;
  }

  /** Say that the open frame is complete if it is left by a person who drew on it. */
  leave() {
    if (this.completesWhenLeft) this.markComplete(true);
  }

  open(frame) {
    if (frame !== this.frame) this.leave();
    this.frame = frame;
    this.#drawn = null;
    this.select(null);
    this.#changed();
  }

  /** The selected box, or undefined. */
  get selected() { return this.boxes.find(({id}) => id === this.#selected); }

  box(id) { return this.boxes.find((box) => box.id === id); }

  select(id) {
    if (id === this.#selected) return;
    this.#selected = id;
    this.dispatchEvent(new Event('selected'));
  }

  /** Add a box that a person drew, and select it. */
  add(xyxy, polygons = [], name = this.current ?? FIRST_CLASS) {
    const box = newBox(xyxy, name, polygons), unnamed = this.current === null;
    this.#append([box]);
    this.select(box.id);
    if (unnamed) this.dispatchEvent(new Event('unnamed'));
    return box;
  }

  /** Replace a box by another of the same id. */
  replace(box, step) {
    const own = this.box(box.id);
    if (own && own !== box) this.#change({boxes: this.boxes.map((each) => (each === own ? box : each))}, step);
  }

  /** Delete the selected box; a frame that has none left is no longer complete. */
  removeSelected() {
    const at = this.boxes.findIndex(({id}) => id === this.#selected);
    if (at < 0) return;
    const boxes = this.boxes.filter(({id}) => id !== this.#selected);
    this.#change({boxes, complete: this.state.complete && boxes.length > 0});
    this.select(boxes[Math.min(at, boxes.length - 1)]?.id ?? null);
  }

  /** Class of the next box and of the selected one. */
  choose(name) {
    if (this.selected && this.selected.name !== name) this.replace({...this.selected, name});
    else if (name !== IGNORE && !this.#store.names.includes(name)) this.#store.changeClasses((names) => [...new Set([...names, name])]).catch(() => {});
    this.current = name;
  }

  /** Name the first class: that of the box which has none yet. */
  nameFirst(name) {
    if (name && name !== FIRST_CLASS) this.#store.nameFirst(this.frame, FIRST_CLASS, name);
    if (name) this.current = name;
  }

  /** Move the selected box, px of the image. */
  nudge(dx, dy) {
    const box = this.selected;
    if (box) this.replace(moved(box, dx, dy, this.state.width, this.state.height), `move ${box.id}`);
  }

  /** Move one side of the selected box, px of the image. */
  stretch(sides, dx, dy) {
    const box = this.selected;
    if (box) this.replace(stretched(box, sides, dx, dy, this.state.width, this.state.height), `stretch ${box.id}`);
  }

  /** Select the next box in the order of the list, or the one before. */
  selectNext(by) {
    const {boxes} = this;
    if (!boxes.length) return;
    const at = boxes.findIndex(({id}) => id === this.#selected);
    this.select(boxes[at < 0 ? (by > 0 ? 0 : boxes.length - 1) : (at + by + boxes.length) % boxes.length].id);
  }

  /** Add the boxes of the frame before, as far as they fit. */
  async copyFromBefore() {
    const {frame} = this;
    if (!this.ready || frame < 1) return 0;
    await this.#store.visit(frame - 1);
    const before = this.#store.at(frame - 1), {width, height} = this.state;
    if (frame !== this.frame) return 0;
    const fitting = before.boxes.filter(({xyxy}) => xyxy[2] <= width && xyxy[3] <= height);
    if (fitting.length) {
      this.#append(fitting.map(({xyxy, name, polygons}) => newBox(xyxy, name, polygons)));
    }
    return fitting.length;
  }

  markComplete(complete) {
    if (!this.ready) return;
    this.#drawn = null;
    this.#change({complete});
  }

  /** Complete without any box. */
  markEmpty() {
    if (!this.ready) return;
    this.select(null);
    this.#change({boxes: this.boxes.length ? [] : this.boxes, complete: true});
  }

  undo() { if (this.state) this.#store.undo(this.frame); }
  redo() { if (this.state) this.#store.redo(this.frame); }

  #append(boxes) {
    if (!this.boxes.length) this.#drawn = this.frame;
    this.#change({boxes: [...this.boxes, ...boxes]});
  }

  #change(change, step) { this.#store.change(this.frame, change, step); }

  #changed() {
    if (this.#selected !== null && !this.selected) this.select(null);
    this.dispatchEvent(new Event('changed'));
  }
}
