// The server's masks: a dragged box snaps, a click gives a mask, the pointer shows what a click would give.

import {ApiError, post} from '../lib/api.js';
import {notice} from '../lib/dom.js';
import {rounded} from '../lib/geometry.js';

const EVERY_MS = 50; // 20 Hz
const NEAR_PX = 2; // of the screen, within which a click takes what was shown
const SETTINGS = 'studio.draw';

function settings() {
  try { return JSON.parse(localStorage.getItem(SETTINGS)) ?? {}; } catch { return {}; }
}

/** Events: `changed` (settings, preview or points). */
export class Segment extends EventTarget {
  /** Mask that a click would give: {point, masks} or null. */
  preview = null;
  /** Points of the object that was clicked last: {id, points, labels, masks, index} or null. */
  session = null;
  #editor;
  #view;
  #missing = false; // of the server: asked once, then left alone
  #wanted = null;
  #asked = null; // AbortController of the preview under way
  #last = 0;
  #timer = 0;

  constructor(editor, view, signal) {
    super();
    this.#editor = editor;
    this.#view = view;
    editor.addEventListener('changed', () => { if (this.session && !editor.box(this.session.id)) this.endSession(); }, {signal});
    editor.addEventListener('selected', () => { if (this.session && editor.selected?.id !== this.session.id) this.endSession(); }, {signal});
    signal.addEventListener('abort', () => this.stopPreview());
  }

  /** Dragged boxes snap to what is in them. */
  get snapping() { return settings().snap ?? true; }
  set snapping(on) { this.#set({snap: on}); }

  /** The pointer shows what a click would give. */
  get previewing() { return settings().preview ?? true; }
  set previewing(on) { this.#set({preview: on}); if (!on) this.stopPreview(); }

  /** Prepare a frame, so that its masks come at once. */
  encode(frame) { return this.#ask(frame, 'encode', undefined); }

  /** Snap a box that was just dragged, unless it was moved meanwhile. */
  async snap(box) {
    const {frame} = this.#editor;
    if (!this.snapping) return;
    const found = await this.#ask(frame, 'snap', {xyxy: box.xyxy});
    if (!found || found.score === null || frame !== this.#editor.frame) return;
    const now = this.#editor.box(box.id); // it may have got a class
    if (now?.xyxy === box.xyxy) this.#editor.replace({...now, xyxy: rounded(found.xyxy), polygons: found.polygons});
  }

  /** A click: a new object, with the mask of this point. */
  async click(point) {
    const shown = this.preview;
    this.stopPreview();
    const near = NEAR_PX / this.#view.scale;
    const masks = shown && Math.hypot(shown.point[0] - point[0], shown.point[1] - point[1]) <= near ? shown.masks : await this.#masks([point], [1]);
    if (!masks?.length) return;
    const box = this.#editor.add(rounded(masks[0].xyxy), masks[0].polygons);
    this.session = {id: box.id, points: [point], labels: [1], masks, index: 0};
    this.#changed();
  }

  /** One more point of the object that was clicked last: label 1 adds what is there, 0 takes it away. */
  async point(point, label) {
    const {session} = this;
    if (!session) { if (label) await this.click(point); return; }
    this.stopPreview();
    const points = [...session.points, point], labels = [...session.labels, label];
    this.session = {...session, points, labels}; // so that a quick next point builds on it
    this.#changed();
    const masks = await this.#masks(points, labels);
    if (masks?.length && this.session?.points === points) this.#take(masks, 0);
  }

  /** The next of the masks that the points may mean. */
  cycle() {
    if (this.session?.masks.length > 1) this.#take(this.session.masks, (this.session.index + 1) % this.session.masks.length);
  }

  endSession() {
    this.session = null;
    this.#changed();
  }

  /** The pointer is at a point: show what a click would give, at most at 20 Hz. */
  hover(point) {
    if (!this.previewing || this.#missing || !this.#editor.ready) return;
    this.#wanted = point;
    if (!this.#asked && !this.#timer) this.#timer = setTimeout(() => this.#show(), Math.max(0, this.#last + EVERY_MS - performance.now()));
  }

  /** The pointer is elsewhere, or does something else. */
  stopPreview() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#wanted = null;
    this.#asked?.abort();
    this.#asked = null;
    if (this.preview) { this.preview = null; this.#changed(); }
  }

  async #show() {
    const point = this.#wanted, asked = new AbortController();
    this.#timer = 0;
    this.#wanted = null;
    this.#asked = asked;
    this.#last = performance.now();
    const masks = await this.#masks([point], [1], asked.signal);
    if (this.#asked !== asked) return;
    this.#asked = null;
    this.preview = masks?.length ? {point, masks} : null;
    this.#changed();
    if (this.#wanted) this.hover(this.#wanted);
  }

  async #masks(points, labels, signal) {
    const {frame} = this.#editor;
    const found = await this.#ask(frame, 'masks', {points: points.map(rounded), labels, name: this.#editor.current}, signal);
    return frame === this.#editor.frame ? found?.masks : undefined;
  }

  #take(masks, index) {
    const box = this.#editor.box(this.session.id);
    this.session = {...this.session, masks, index};
    this.#editor.replace({...box, xyxy: rounded(masks[index].xyxy), polygons: masks[index].polygons});
    this.#changed();
  }

  async #ask(frame, what, body, signal) {
    if (this.#missing) return undefined;
    try {
      return await post(`frames/${frame}/${what}`, body, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status === 0) return undefined; // stale, or the server is away, which the page says
      if (what === 'encode') return undefined;
      this.#missing = true;
      notice(`no masks: ${error.message}`);
      return undefined;
    }
  }

  #set(change) {
    localStorage.setItem(SETTINGS, JSON.stringify({...settings(), ...change}));
    this.#changed();
  }

  #changed() { this.dispatchEvent(new Event('changed')); }
}
