// The mouse on the frame: new boxes, clicks, selected boxes moved and resized, guides.

import {el} from '../lib/dom.js';
import {DRAG} from './store.js';
import {area, between, cursorOf, inside, moved, partAt, resized} from '../lib/geometry.js';

const CLICK_PX = 4; // of the screen; a shorter drag is a click
const REACH_PX = 8; // of the screen, on either side of a side

/** Event `changed`: `drag` is another. */
export class Pointer extends EventTarget {
  /** Box that is being drawn, xyxy, or null. */
  drag = null;
  #view;
  #editor;
  #segment;
  #guides = [el('i', {class: 'guide down'}), el('i', {class: 'guide across'})];
  #cancel = null;

  constructor(view, editor, segment, signal) {
    super();
    [this.#view, this.#editor, this.#segment] = [view, editor, segment];
    view.append(...this.#guides);
    view.addEventListener('pointerdown', (event) => this.#down(event), {signal});
    view.addEventListener('pointermove', (event) => this.#move(event), {signal});
    view.addEventListener('pointerleave', () => this.#leave(), {signal});
    view.addEventListener('contextmenu', (event) => event.preventDefault(), {signal});
    this.#leave();
  }

  /** Give up the drag under way; false if there is none. */
  cancel() {
    if (!this.#cancel) return false;
    this.#cancel();
    return true;
  }

  #down(event) {
    if (!this.#editor.ready || this.#view.panning || event.altKey || event.button === 1 || this.#cancel) return;
    event.preventDefault();
    this.#view.focus({preventScroll: true});
    const at = this.#view.toImage(event);
    if (event.button === 2) { this.#segment.point(at, 0); return; }
    if (event.button !== 0) return;
    const {selected} = this.#editor, anew = event.ctrlKey || event.metaKey || event.shiftKey;
    const part = selected && !anew ? this.#part(selected, event) : null;
    if (part) this.#change(event, selected, part);
    else this.#draw(event, at, anew);
  }

  /** Move the selected box, or its sides. */
  #change(event, box, part) {
    const {width, height} = this.#editor.state, from = this.#view.toImage(event, {free: true});
    const step = `${DRAG} ${performance.now()}`;
    let changed = false;
    this.#segment.stopPreview();
    this.#follow(event, {
      moved: (moving, far) => {
        if (!far) return;
        changed = true;
        const [x, y] = this.#view.toImage(moving, {free: part === 'inside'});
        this.#editor.replace(part === 'inside' ? moved(box, x - from[0], y - from[1], width, height) : resized(box, part, [x, y]), step);
      },
      ended: () => {},
      canceled: () => { if (changed) this.#editor.undo(); },
    });
  }

  /** A new box if the pointer moves; else a click. */
  #draw(event, from, anew) {
    this.#follow(event, {
      moved: (moving, far) => {
        if (far) this.#segment.stopPreview(); // until then it may be a click, which takes what is shown
        this.drag = far ? between(from, this.#view.toImage(moving)) : null;
        this.#changed();
      },
      ended: (far) => {
        const xyxy = this.drag;
        this.drag = null;
        if (xyxy) this.#segment.snap(this.#editor.add(xyxy));
        else if (!far) this.#click(from, event, anew);
        this.#changed();
      },
      canceled: () => { this.drag = null; this.#changed(); },
    });
  }

  #click(at, event, anew) {
    if (event.shiftKey) { this.#segment.point(at, 1); return; }
    const under = anew ? [] : this.#editor.boxes.filter(({xyxy}) => inside(xyxy, at)).sort((one, other) => area(one.xyxy) - area(other.xyxy));
    if (under.length) this.#editor.select(under[0].id);
    else this.#segment.click(at);
  }

  /** Follow one press until it ends; it leaves no listener behind. */
  #follow(event, {moved: onMove, ended, canceled}) {
    const over = new AbortController(), {signal} = over;
    let far = false;
    this.#view.setPointerCapture(event.pointerId);
    const end = (then) => {
      over.abort();
      this.#cancel = null;
      if (this.#view.hasPointerCapture(event.pointerId)) this.#view.releasePointerCapture(event.pointerId);
      then(far);
    };
    this.#cancel = () => end(canceled);
    this.#view.addEventListener('pointermove', (moving) => {
      far ||= Math.hypot(moving.clientX - event.clientX, moving.clientY - event.clientY) >= CLICK_PX;
      onMove(moving, far);
    }, {signal});
    this.#view.addEventListener('pointerup', () => end(ended), {signal});
    this.#view.addEventListener('pointercancel', () => end(canceled), {signal});
  }

  #move(event) {
    const {left, top} = this.#view.getBoundingClientRect();
    const [down, across] = this.#guides, {selected} = this.#editor;
    const part = selected && !this.#cancel && !event.ctrlKey && !event.shiftKey ? this.#part(selected, event) : null;
    down.style.transform = `translateX(${event.clientX - left}px)`;
    across.style.transform = `translateY(${event.clientY - top}px)`;
    for (const guide of this.#guides) guide.hidden = !this.#editor.ready || Boolean(part) || this.#view.panning;
    if (!this.#cancel) this.#view.style.cursor = this.#view.panning ? 'grab' : cursorOf(part);
    if (this.#cancel || part || event.buttons || this.#view.panning) return;
    const at = this.#view.toImage(event, {free: true}), {width, height} = this.#view;
    const click = event.ctrlKey || !this.#editor.boxes.some(({xyxy}) => inside(xyxy, at));
    if (click && inside([0, 0, width, height], at)) this.#segment.hover(at); else this.#segment.stopPreview();
  }

  #leave() {
    for (const guide of this.#guides) guide.hidden = true;
    this.#segment.stopPreview();
  }

  #part(box, event) { return partAt(box.xyxy, this.#view.toImage(event, {free: true}), REACH_PX / this.#view.scale); }

  #changed() { this.dispatchEvent(new Event('changed')); }
}
