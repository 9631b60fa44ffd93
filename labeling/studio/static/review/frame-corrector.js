// <review-frame>: one frame with all its labels. Fix the class or the box of one, add what is missed.

import {get} from '../lib/api.js';
import {attempt, colorOf, el, swatch} from '../lib/dom.js';
import '../lib/frame-view.js';
import {area, between, cursorOf, inside, moved, partAt, resized, stretched} from '../lib/geometry.js';
import {bind, boxBindings} from '../lib/keys.js';

const CLICK_PX = 4, REACH_PX = 8; // of the screen
const NEW_BOX = 0.2; // of the view, of a box made by key
const SAVE_MS = 500; // after the last of several keys that move a box

const STATES = {human: 'by you', unsure: 'unsure'};

const same = (one, other) => one && other && one.name === other.name && one.xyxy.every((value, i) => value === other.xyxy[i]);
const plain = ({name, xyxy}) => ({name, xyxy});

/** Events: `decide` ({decisions, stay, then}), `undo`, `back`, `correct` ({frame}): another frame. */
class ReviewFrame extends HTMLElement {
  /** Number of the frame, and the box to begin with. */
  number = 0;
  wanted = null;
  /** @type {string[]} */
  classes;
  #closed = new AbortController();
  #frame = null;
  #selected = null; // a label of the frame
  #edited = null; // its box while it is being moved
  #drag = null;
  #timer = 0;
  #view = el('frame-view', {tabindex: 0, role: 'application', 'aria-label': 'Frame: drag draws a missed object, N makes one by key'});
  #list = el('ol', {class: 'labels', 'aria-label': 'Labels of the frame'});

  connectedCallback() {
    const button = (text, key, kind, act) => el('button', {type: 'button', class: kind, onclick: act}, text, ' ', el('kbd', {}, key));
    this.append(this.#view, el('aside', {},
      el('h2', {}, `Frame ${this.number}`), this.#list,
      el('div', {class: 'verdicts'},
        button('Right', 'Y', 'right', () => this.#verdict('right')), button('Wrong', 'X', 'wrong', () => this.#verdict('wrong')),
        button('Add a box', 'N', '', () => this.#add()), button('Undo', 'U', '', () => this.#undo()),
        button('Whole frame is right', 'C', '', () => this.#wholeFrame()), button('Back to the sheet', 'Esc', '', () => this.#back()))));
    this.#view.addEventListener('pointerdown', (event) => this.#down(event));
    this.#view.addEventListener('pointermove', (event) => this.#hover(event));
    this.#bind();
    this.load(true);
  }

  disconnectedCallback() { this.#closed.abort(); clearTimeout(this.#timer); }

  /** Load the labels again; `first` also the image. */
  async load(first = false) {
    await attempt(async () => {
      const frame = await get(`review/frames/${this.number}`, this.#closed.signal);
      if (first) await this.#view.show(`api/frames/${this.number}/image`);
      this.#frame = frame;
      this.#edited = null;
      const wanted = this.#selected ?? this.wanted;
      this.#selected = frame.labels.find((label) => same(label, wanted)) ?? (wanted && this.#nearest(wanted)) ?? null;
      if (first && this.wanted) this.#view.zoomTo(this.wanted.xyxy, 0.35);
      this.#redraw();
      if (first) this.#view.focus({preventScroll: true});
    });
  }

  #bind() {
    const keys = {
      y: ['Right', () => this.#verdict('right')], Enter: ['Right', () => this.#verdict('right')], x: ['Wrong', () => this.#verdict('wrong')],
      w: ['Select the next label', () => this.#step(1)], q: ['Select the previous label', () => this.#step(-1)],
      n: ['New box in the middle', () => this.#add()], u: ['Undo', () => this.#undo()],
      c: ['The whole frame is right: nothing is wrong or missed', () => this.#wholeFrame()],
      f: ['Whole frame in view', () => this.#view.fit()], z: ['Zoom to the label', () => this.#zoom()],
      '+': ['Zoom in', () => this.#view.zoom(1.4)], '-': ['Zoom out', () => this.#view.zoom(1 / 1.4)],
      d: ['Next frame', () => this.#go(1)], a: ['Previous frame', () => this.#go(-1)],
      Escape: ['Back to the sheet', () => this.#back()],
    };
    this.classes.slice(0, 9).forEach((name, number) => { keys[number + 1] = ['Class of the label', () => this.#change({name})]; });
    const change = (edit) => (...by) => this.#shift(edit, ...by);
    bind({...keys, ...boxBindings('the label', change(moved), change(stretched))}, this.#closed.signal);
  }

  #nearest({xyxy}) {
    const [x, y] = [(xyxy[0] + xyxy[2]) / 2, (xyxy[1] + xyxy[3]) / 2];
    return this.#frame.labels.filter((label) => inside(label.xyxy, [x, y])).sort((one, other) => area(one.xyxy) - area(other.xyxy))[0];
  }

  #redraw() {
    if (!this.#frame) return;
    this.#drawShapes();
    this.#list.replaceChildren(...this.#frame.labels.map((label) => el('li', {},
      el('button', {type: 'button', 'aria-pressed': String(label === this.#selected), onclick: () => this.#select(label)},
        swatch(colorOf(this.classes, label.name)), label.name, el('small', {}, STATES[label.state] ?? label.score.toFixed(2))))));
    this.#list.querySelector('[aria-pressed=true]')?.scrollIntoView({block: 'nearest'});
  }

  /** Show the boxes on the frame: all that changes while one is moved or drawn. */
  #drawShapes() {
    const shown = this.#frame.labels.filter((label) => label !== this.#selected);
    const shape = (label, selected) => ({
      xyxy: label.xyxy, polygons: label.polygons, label: selected || label.state === 'unsure' ? `${label.name}${label.state === 'unsure' ? '?' : ''}` : null,
      color: colorOf(this.classes, label.name), dashed: label.state === 'unsure', selected,
    });
    this.#view.shapes = shown.map((label) => shape(label, false));
    const wanted = this.wanted && !this.#frame.labels.some((label) => same(label, this.wanted)) && !this.#selected ? this.wanted : null;
    if (wanted) this.#view.shapes.push({xyxy: wanted.xyxy, label: `${wanted.name}?`, color: '#ffd23e', dashed: true});
    if (this.#selected) this.#view.shapes.push(shape(this.#edited ?? this.#selected, true));
    if (this.#drag) this.#view.shapes.push({xyxy: this.#drag, color: colorOf(this.classes, this.#name), dashed: true});
    this.#view.redraw();
  }

  get #name() { return this.#selected?.name ?? this.wanted?.name ?? this.classes[0]; }

  #select(label) {
    this.#flush();
    this.#selected = label;
    this.#reveal();
    this.#redraw();
  }

  /** Show the whole frame if the selected label is out of sight. */
  #reveal() {
    if (!this.#selected) return;
    const {left, top, right, bottom} = this.#view.getBoundingClientRect(), [x1, y1, x2, y2] = this.#selected.xyxy;
    const [x, y] = this.#view.toPage([(x1 + x2) / 2, (y1 + y2) / 2]);
    if (x < left || x > right || y < top || y > bottom) this.#view.fit();
  }

  #step(by) {
    const {labels} = this.#frame;
    if (!labels.length) return;
    const at = labels.indexOf(this.#selected);
    this.#select(labels[at < 0 ? 0 : (at + by + labels.length) % labels.length]);
  }

  #zoom() { if (this.#selected) this.#view.zoomTo(this.#selected.xyxy, 0.35); }

  #decide(made, selected) {
    this.#say('decide', {
      decisions: [{frame: this.number, ...made}], stay: true,
      then: () => { this.#selected = selected; this.#reveal(); this.load(); },
    });
  }

  #verdict(verdict) {
    this.#flush();
    const label = this.#selected ?? (this.wanted?.kind === 'miss' ? this.wanted : null);
    if (!label) return;
    const at = this.#frame.labels.indexOf(this.#selected), next = this.#frame.labels[at + 1] ?? this.#frame.labels[0];
    this.wanted = null;
    this.#decide({verdict, box: plain(label)}, next === label ? null : next);
  }

  #change(change) {
    const label = this.#selected;
    if (!label) return;
    const to = plain({...label, ...(this.#edited ?? {}), ...change});
    clearTimeout(this.#timer);
    this.#edited = null;
    if (!same(label, to)) this.#decide({verdict: 'change', box: plain(label), to}, to);
  }

  /** Save a box that keys moved. */
  #flush() {
    clearTimeout(this.#timer);
    if (this.#edited) this.#change({});
  }

  #edit(box) {
    this.#edited = {...this.#selected, xyxy: box.xyxy, polygons: []};
    this.#drawShapes();
  }

  get #box() { return {...(this.#edited ?? this.#selected), polygons: []}; }

  /** Move the label or a side of it by key. */
  #shift(edit, ...by) {
    if (!this.#selected) return;
    this.#edit(edit(this.#box, ...by, this.#view.width, this.#view.height));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), SAVE_MS);
  }

  #add(xyxy = this.#view.middle(NEW_BOX)) {
    this.#flush();
    if (!xyxy) return;
    const box = {name: this.#name, xyxy};
    this.#decide({verdict: 'add', box}, box);
  }

  #wholeFrame() {
    this.#flush();
    const boxes = this.#frame.labels.filter(({state}) => state !== 'unsure').map(plain);
    this.#decide({verdict: 'frame', boxes}, null);
  }

  #undo() { clearTimeout(this.#timer); this.#edited = null; this.#say('undo'); }

  #back() { this.#flush(); this.#say('back'); }

  #go(by) {
    this.#flush();
    if (this.number + by >= 0) this.#say('correct', {frame: this.number + by});
  }

  #part(event) {
    return this.#selected ? partAt(this.#box.xyxy, this.#view.toImage(event, {free: true}), REACH_PX / this.#view.scale) : null;
  }

  #hover(event) {
    if (event.buttons) return;
    this.#view.style.cursor = cursorOf(this.#part(event));
  }

  #down(event) {
    if (event.button !== 0 || event.altKey || !this.#frame) return;
    const from = this.#view.toImage(event), start = this.#selected && this.#box, part = this.#part(event);
    const over = new AbortController(), {signal} = over;
    let far = false;
    this.#view.setPointerCapture(event.pointerId);
    this.#view.addEventListener('pointermove', (moving) => {
      far ||= Math.hypot(moving.clientX - event.clientX, moving.clientY - event.clientY) >= CLICK_PX;
      if (!far) return;
      const at = this.#view.toImage(moving);
      if (!part) { this.#drag = between(from, at); this.#drawShapes(); }
      else if (part === 'inside') this.#edit(moved(start, at[0] - from[0], at[1] - from[1], this.#view.width, this.#view.height));
      else this.#edit(resized(start, part, at));
    }, {signal});
    this.#view.addEventListener('pointerup', () => {
      over.abort();
      const drawn = this.#drag;
      this.#drag = null;
      if (drawn) this.#add(drawn);
      else if (far) this.#flush();
      else this.#select(this.#nearest({xyxy: [...from, ...from]}) ?? null);
    }, {signal});
  }

  #say(name, detail) { this.dispatchEvent(new CustomEvent(name, {detail, bubbles: true})); }
}

customElements.define('review-frame', ReviewFrame);
