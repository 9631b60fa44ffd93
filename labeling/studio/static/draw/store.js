// Frames of this page: their boxes, undo and redo, and what other pages change.

import {get, post, put} from '../lib/api.js';
import * as events from '../lib/events.js';
import {same} from '../lib/geometry.js';
import {Saver} from './saver.js';

const STEPS = 200; // of undo per frame
const MERGE_MS = 1000; // steps of the same kind within this time are one

/** First word of steps that are undone together however long they take. */
export const DRAG = 'drag';

let ids = 0;

/** A box of this page: `id` lasts as long as the page does. */
export const newBox = (xyxy, name, polygons = []) => ({id: ++ids, xyxy, name, polygons});

/**
 * Events, each with `frame`: `changed` (boxes of a visited frame), `summary` (any frame), `conflict`;
 * and `classes`, `saving`, `refused` ({message}), `reload`.
 */
export class Store extends EventTarget {
  /** Names of the frames' files. */
  files = [];
  /** Summaries of frames with boxes and complete ones: number to {boxes, complete, classes}. */
  drawn = new Map();
  /** Reasons why frames cannot be read, by number. */
  unreadable = new Map();
  /** All class names, as the server has them. */
  names = [];
  #visited = new Map(); // frame: {boxes, complete, width, height, past, future, step}
  #saver = new Saver();

  /** Lasts as long as the page: what waits for the server survives a change of the tab. */
  constructor() {
    super();
    const {signal} = new AbortController();
    this.#saver.addEventListener('state', () => this.#emit('saving'));
    this.#saver.addEventListener('conflict', ({detail}) => {
      this.#adopt(detail.frame, detail.current);
      this.#emit('conflict', {frame: detail.frame});
    });
    this.#saver.addEventListener('refused', ({detail}) => this.#emit('refused', detail));
    events.on('boxes', (said) => this.#follow(said), signal);
    events.on('classes', (said) => this.#followClasses(said), signal);
    events.on('reload', () => this.load().then(() => this.#emit('reload'), () => {}), signal);
    events.on('connection', ({up}) => { if (up) this.#saver.flush(); }, signal);
    window.addEventListener('pagehide', () => this.#saver.flush(), {signal});
    window.addEventListener('beforeunload', (event) => {
      this.#saver.flush();
      if (['waiting', 'refused'].includes(this.saving)) event.preventDefault();
    }, {signal});
  }

  /** 'saved', 'saving', 'waiting' (for the server), or 'refused'. */
  get saving() { return this.#saver.state; }

  /** Load the list of frames. */
  async load() {
    const {files, drawn, classes} = await get('frames');
    this.files = files;
    this.drawn = new Map(Object.entries(drawn).map(([frame, summary]) => [Number(frame), summary]));
    for (const frame of this.#visited.keys()) if (this.#saver.pending(frame)) this.#summarize(frame);
    this.#setNames(classes);
    this.#emit('summary', {frame: null});
  }

  /** Load the boxes of a frame; what is here and not saved yet stays. */
  async visit(frame) {
    const before = this.#saver.baseOf(frame);
    const {base, boxes, complete, width, height, unreadable} = await get(`frames/${frame}/boxes`);
    const had = this.#visited.get(frame);
    if (had && (this.#saver.pending(frame) || this.#saver.baseOf(frame) !== before)) return;
    this.#saver.setBase(frame, base);
    if (unreadable) this.markUnreadable(frame, unreadable); else this.unreadable.delete(frame);
    if (had) { Object.assign(had, {width, height}); this.#adopt(frame, {boxes, complete}); return; }
    this.#visited.set(frame, {boxes: own(boxes), complete, width, height, past: [], future: [], step: null});
    this.#emit('changed', {frame});
  }

  /** {boxes, complete, width, height} of a visited frame. */
  at(frame) { return this.#visited.get(frame); }

  markUnreadable(frame, reason) {
    if (this.unreadable.get(frame) === reason) return;
    this.unreadable.set(frame, reason);
    this.#emit('summary', {frame});
  }

  /**
   * Change a visited frame; saved at once.
   * @param {{boxes?: object[], complete?: boolean}} change
   * @param {string} step Steps of the same text in quick succession are undone together.
   */
  change(frame, change, step = null) {
    const now = this.#visited.get(frame);
    const next = {boxes: change.boxes ?? now.boxes, complete: change.complete ?? now.complete};
    if (next.boxes === now.boxes && next.complete === now.complete) return;
    const merged = step && now.step?.name === step && (step.startsWith(DRAG) || performance.now() - now.step.at < MERGE_MS);
    if (!merged) this.#remember(now);
    now.step = {name: step, at: performance.now()};
    this.#set(frame, next);
  }

  undo(frame) { this.#travel(frame, 'past', 'future'); }
  redo(frame) { this.#travel(frame, 'future', 'past'); }
  canUndo(frame) { return Boolean(this.at(frame)?.past.length); }
  canRedo(frame) { return Boolean(this.at(frame)?.future.length); }

  /** Boxes of every class, over all frames. */
  counts() {
    const counts = new Map();
    for (const {classes} of this.drawn.values()) {
      for (const [name, boxes] of Object.entries(classes)) counts.set(name, (counts.get(name) ?? 0) + boxes);
    }
    return counts;
  }

  /** Change the class names and their order. `change` may be called twice: other classes may come while boxes are saved. */
  async changeClasses(change) {
    this.#setNames(change(this.names));
    await this.#saver.flush();
    try {
      this.#setNames((await put('classes', {names: change(this.names)})).names);
    } catch (error) {
      await this.load();
      throw error;
    }
  }

  /** Rename a class, and its boxes with it. */
  async rename(name, to) {
    await this.#saver.flush();
    await post('classes/rename', {name, to});
  }

  /** Name the boxes of a visited frame that have a stand-in for a class; no step of undo. */
  nameFirst(frame, name, to) {
    const now = this.#visited.get(frame);
    renameIn(now, name, to);
    this.#set(frame, now);
    this.changeClasses((names) => [...new Set(names.map((own) => (own === name ? to : own)))]).catch(() => {}); // it stays if it has boxes
  }

  /** Know a class before a box of it is saved. */
  addName(name) { if (!this.names.includes(name)) this.#setNames([...this.names, name]); }

  #travel(frame, from, to) {
    const now = this.#visited.get(frame);
    if (!now?.[from].length) return;
    now[to].push({boxes: now.boxes, complete: now.complete});
    now.step = null;
    this.#set(frame, now[from].pop());
  }

  #remember(now) {
    now.past.push({boxes: now.boxes, complete: now.complete});
    if (now.past.length > STEPS) now.past.shift();
    now.future = [];
  }

  #set(frame, {boxes, complete}) {
    Object.assign(this.#visited.get(frame), {boxes, complete});
    for (const {name} of boxes) this.addName(name);
    this.#summarize(frame);
    this.#emit('changed', {frame});
    this.#saver.save(frame, {boxes, complete});
  }

  /** Take over what is at the server; undo brings back what was here. */
  #adopt(frame, {boxes, complete}) {
    const now = this.#visited.get(frame);
    if (same(now, {boxes, complete})) return;
    this.#remember(now);
    now.step = null;
    Object.assign(now, {boxes: own(boxes, now.boxes), complete});
    this.#summarize(frame);
    this.#emit('changed', {frame});
  }

  #summarize(frame) {
    const {boxes, complete} = this.#visited.get(frame);
    const classes = {};
    for (const {name} of boxes) classes[name] = (classes[name] ?? 0) + 1;
    this.#setSummary(frame, {boxes: boxes.length, complete, classes});
  }

  #setSummary(frame, summary) {
    if (summary.boxes || summary.complete) this.drawn.set(frame, summary); else this.drawn.delete(frame);
    this.#emit('summary', {frame});
  }

  #follow({frame, base, boxes, complete, classes}) {
    if (this.#saver.pending(frame)) return; // our own, or a conflict that the reply will tell
    this.#setSummary(frame, {boxes, complete, classes});
    if (this.#visited.has(frame) && this.#saver.baseOf(frame) !== base) this.visit(frame).catch(() => {});
  }

  async #followClasses({names, renamed}) {
    this.#setNames(names);
    if (!renamed) return;
    for (const [frame, now] of this.#visited) {
      renameIn(now, renamed.name, renamed.to);
      this.visit(frame).catch(() => {}); // its revision changed
      this.#emit('changed', {frame});
    }
    this.#emit('renamed', renamed);
    await this.load();
  }

  #setNames(names) {
    this.names = names;
    this.#emit('classes');
  }

  #emit(kind, detail = {}) { this.dispatchEvent(new CustomEvent(kind, {detail})); }
}

/** Rename a class in all states of a frame. */
function renameIn(now, name, to) {
  for (const state of [now, ...now.past, ...now.future]) state.boxes = state.boxes.map((box) => (box.name === name ? {...box, name: to} : box));
}

/** Boxes of the server with ids. Those that were here keep theirs: the same box, else the one at the same place of the list. */
function own(boxes, before = []) {
  const keyOf = ({xyxy, name}) => JSON.stringify([xyxy, name]);
  const same = new Map(before.map((box) => [keyOf(box), box.id]));
  const left = new Set(before.map(({id}) => id));
  const take = (id) => (left.delete(id) ? id : undefined);
  const kept = boxes.map((box) => take(same.get(keyOf(box))));
  return boxes.map(({xyxy, name, polygons}, at) => {
    const id = kept[at] ?? (boxes.length === before.length ? take(before[at].id) : undefined);
    return {...newBox(xyxy, name, polygons), ...(id && {id})};
  });
}
