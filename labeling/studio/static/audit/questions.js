// <audit-questions>: one box or frame of the sample at a time. Scores are not shown, because they would lead the eye.

import {get, post, put} from '../lib/api.js';
import {Crosshair} from '../lib/crosshair.js';
import {attempt, el} from '../lib/dom.js';
import '../lib/frame-view.js';
import {bind} from '../lib/keys.js';

const MARK = '#ffd23e';
const REACH = 15; // screen pixels around a mark in which a click means it

class AuditQuestions extends HTMLElement {
  #closed = new AbortController();
  #audit;
  #place = 0; // in boxes, then frames
  #marks = []; // [x, y] in pixels of the frame
  #busy = true;
  #plain = false;
  #part = {};
  #pointer = []; // [x, y] on the page
  #crosshair;

  /** @param {{boxes: string[], frames: {width, height}[], classes: string[], answers: {boxes: boolean[], frames: number[][][]}, fixed: boolean}} audit */
  set audit(audit) { this.#audit = structuredClone(audit); }

  /** Answers of all pages. */
  set answers(answers) {
    this.#audit.answers = answers;
    this.#progress();
  }

  connectedCallback() {
    this.#build();
    const view = this.#part.view, {signal} = this.#closed;
    this.#crosshair = new Crosshair(view, () => this.#redraw());
    view.addEventListener('pointerdown', (event) => { if (event.button === 0 && !event.altKey && !view.panning) this.#mark(view.toImage(event)); }, {signal});
    view.addEventListener('pointermove', ({clientX, clientY}) => { this.#pointer = [clientX, clientY]; }, {signal});
    const press = (name, effect) => [effect, () => { if (!this.#part[name].disabled && !this.#part[name].hidden) this.#part[name].click(); }];
    bind({
      ...this.#crosshair.bindings,
      ' ': ['Mark a missed object at the crosshair, or remove the mark', () => { if (this.#crosshair.at) this.#mark(this.#crosshair.at); }],
      a: press('accept', 'Accept the box'), r: press('reject', 'Reject the box'),
      n: press('nothing', 'Nothing was missed'), Enter: press('save', 'Save the marks'),
      b: press('back', 'Back'), f: press('next', 'Forward'),
      h: ['Hide what is drawn while held', () => this.#hide(true)],
      z: ['Zoom at the crosshair or the pointer', () => this.#zoom()],
    }, signal);
    document.addEventListener('keyup', (event) => { if (event.key.toLowerCase() === 'h') this.#hide(false); }, {signal});
    window.addEventListener('blur', () => this.#hide(false), {signal});
    this.#show(Math.min(this.#firstOpen(), this.#total - 1));
  }

  disconnectedCallback() { this.#closed.abort(); }

  get #total() { return this.#audit.boxes.length + this.#audit.frames.length; }
  get #isBox() { return this.#place < this.#audit.boxes.length; }
  get #index() { return this.#isBox ? this.#place : this.#place - this.#audit.boxes.length; }
  get #saved() { return (this.#isBox ? this.#audit.answers.boxes : this.#audit.answers.frames)[this.#index]; }

  #firstOpen() {
    const {boxes, answers} = this.#audit;
    return answers.boxes.length < boxes.length ? answers.boxes.length : boxes.length + answers.frames.length;
  }

  #build() {
    const part = this.#part;
    const button = (name, text, key, kind, act) => {
      // Without the focus, Enter does not press the same button again on the next image.
      part[name] = el('button', {type: 'button', class: kind, onclick: () => { part[name].blur(); if (!this.#busy) act(); }}, el('span', {}, text), key && el('kbd', {}, key));
      return part[name];
    };
    this.append(
      el('header', {}, part.question = el('h2', {'aria-live': 'polite'}), part.count = el('p', {class: 'count'}),
        part.bar = el('progress', {'aria-label': 'Answered', max: 1, value: 0})),
      part.view = el('frame-view', {tabindex: 0, role: 'application', 'aria-label': 'Image: click or Space marks a missed object'}),
      el('footer', {},
        el('div', {}, button('back', 'Back', 'B', null, () => this.#show(this.#place - 1)), button('next', 'Forward', 'F', null, () => this.#show(this.#place + 1))),
        el('div', {}, button('accept', 'Accept', 'A', 'right', () => this.#answerBox(true)), button('reject', 'Reject', 'R', 'wrong', () => this.#answerBox(false)),
          button('nothing', 'Nothing missed', 'N', 'right', () => this.#answerFrame()), button('save', '', 'Enter', 'mark', () => this.#answerFrame())),
        el('div', {}, this.#audit.fixed ? null : button('anew', 'Another sample', null, null, () => this.dispatchEvent(new CustomEvent('anew'))),
          button('done', 'Done', null, null, () => this.#finish()))));
  }

  #url(place, drawn) {
    const {boxes} = this.#audit;
    return place < boxes.length ? `api/audit/boxes/${place}/image?drawn=${drawn}` : `api/audit/frames/${place - boxes.length}/image?drawn=${drawn}`;
  }

  async #show(place) {
    this.#place = place;
    this.#plain = false;
    this.#wait(true);
    this.#marks = this.#isBox ? [] : structuredClone(this.#saved ?? []);
    this.#crosshair.at = null;
    this.#ask();
    this.#progress();
    const {view} = this.#part;
    view.shapes = [];
    await attempt(async () => {
      if (!await view.show(this.#url(place, true))) return;
      view.fit();
      this.#wait(false);
      this.#redraw();
      if (place + 1 < this.#total) new Image().src = this.#url(place + 1, true);
    });
  }

  /** Answers to an image that is not shown yet are ignored. */
  #wait(busy) {
    this.#busy = busy;
    this.#part.view.setAttribute('aria-busy', String(busy));
  }

  #ask() {
    const part = this.#part, box = this.#isBox;
    part.question.replaceChildren(...(box
      ? ['Is this one ', el('b', {}, this.#audit.boxes[this.#index]), ', and does the box fit it? ', el('small', {}, 'Not sure? Then reject it. Hold H to hide the box.')]
      : ['Click on every object without a right label ', el('small', {}, `${this.#audit.classes.join(', ')}: no box at all, the wrong class, or a box that does not fit. Hold H to hide the labels; a click on a mark removes it.`)]));
    for (const name of ['accept', 'reject']) {
      part[name].hidden = !box;
      part[name].setAttribute('aria-pressed', box && this.#saved === (name === 'accept'));
    }
    part.nothing.hidden = part.save.hidden = box;
    part.back.disabled = this.#place === 0;
    part.next.disabled = this.#saved === undefined || this.#place + 1 >= this.#total;
  }

  #progress() {
    const {answers, boxes, frames} = this.#audit;
    this.#part.count.textContent = this.#isBox ? `Box ${this.#index + 1} of ${boxes.length}, then ${frames.length} frames` : `Frame ${this.#index + 1} of ${frames.length}`;
    this.#part.bar.max = this.#total;
    this.#part.bar.value = answers.boxes.length + answers.frames.length;
  }

  get #perPixel() { return this.#part.view.width / this.#audit.frames[this.#index].width; } // frames are shown enlarged

  #redraw() {
    const {view, nothing, save} = this.#part;
    if (!this.#isBox) {
      const by = this.#perPixel;
      view.shapes = this.#marks.flatMap(([x, y]) => [
        {points: [[x * by, y * by]], radius: REACH, color: '#101214', selected: true}, {points: [[x * by, y * by]], radius: REACH - 1, color: MARK, selected: true}]);
      view.shapes.push(...this.#crosshair.shapes);
      nothing.disabled = this.#marks.length > 0;
      save.disabled = this.#marks.length === 0;
      save.firstChild.textContent = this.#marks.length ? `${this.#marks.length} missed` : 'Mark missed objects';
    }
    view.redraw();
  }

  #mark([x, y]) {
    if (this.#isBox || this.#busy) return;
    const by = this.#perPixel, reach = REACH / this.#part.view.scale;
    const near = this.#marks.findIndex(([mx, my]) => Math.hypot(mx * by - x, my * by - y) <= reach);
    const inFrame = (value, most) => Math.min(Math.round(10 * value / by) / 10, most);
    const {width, height} = this.#audit.frames[this.#index];
    if (near >= 0) this.#marks.splice(near, 1); else this.#marks.push([inFrame(x, width), inFrame(y, height)]);
    this.#redraw();
  }

  async #hide(hidden) {
    if (hidden === this.#plain) return;
    this.#plain = hidden;
    await attempt(() => this.#part.view.show(this.#url(this.#place, !hidden)));
  }

  #zoom() {
    const {view} = this.#part;
    if (view.zoomed) { view.fit(); return; }
    const [x, y] = this.#crosshair.at ? view.toPage(this.#crosshair.at) : this.#pointer, {left, top} = view.getBoundingClientRect();
    view.zoom(3, this.#crosshair.at || this.#pointer.length ? [x - left, y - top] : undefined);
  }

  #answerBox(right) {
    const {answers} = this.#audit, place = this.#index;
    this.#save(() => put(`audit/boxes/${place}`, {right}), () => { answers.boxes[place] = right; });
  }

  #answerFrame() {
    const {answers} = this.#audit, place = this.#index, missed = this.#marks;
    this.#save(() => put(`audit/frames/${place}`, {missed}), () => { answers.frames[place] = missed; });
  }

  async #save(send, keep) {
    this.#busy = true;
    const before = this.#firstOpen() >= this.#total;
    const saved = await attempt(send);
    this.#busy = false;
    if (!saved) return;
    keep();
    if (saved.complete && (!before || this.#audit.fixed || this.#place + 1 >= this.#total)) this.dispatchEvent(new CustomEvent('finished', {detail: saved.figures}));
    else this.#show(this.#place + 1 < this.#total ? this.#place + 1 : Math.min(this.#firstOpen(), this.#total - 1));
  }

  async #finish() {
    const figures = await attempt(() => (this.#audit.fixed ? post('audit/done') : get('audit/figures')));
    if (figures) this.dispatchEvent(new CustomEvent('finished', {detail: figures}));
  }
}

customElements.define('audit-questions', AuditQuestions);
