// <review-sheet>: the crops of one look. One key settles all; what is unlike the rest is picked out first.

import {colorOf, el, swatch} from '../lib/dom.js';
import {bind} from '../lib/keys.js';
import {filled, svg} from '../lib/svg.js';

const GAP = 8, CAPTION = 22, LARGEST = 420, SMALLEST = 72; // px
const MARKS = {label: '', unsure: 'unsure', miss: 'missed?'}; // of an open crop, by its kind
const DEVICE = {missed: 'missed by the device', alone: 'by the device alone'};

/**
 * Events: `decide` ({decisions}), `undo`, `go` (by), `correct` (doubt).
 * @typedef {{id: number, kind: string, device: string, frame: number, name: string, xyxy: number[], polygons: number[][], side: number, probability: number, state: string}} Doubt
 */
class ReviewSheet extends HTMLElement {
  /** @type {{number: number, doubts: Doubt[]}} */
  look;
  /** @type {string[]} */
  classes;
  #closed = new AbortController();
  #at = 0;
  #picked = new Map(); // place in the look -> class name, or null for the opposite of the rest
  #crops = [];
  #grid = null;
  #columns = 1;

  connectedCallback() {
    const {doubts} = this.look, [first] = doubts;
    const question = this.#question(first);
    this.#grid = el('div', {
      class: 'crops', role: 'listbox', tabindex: 0, 'aria-multiselectable': 'true',
      'aria-label': `${question.textContent} ${doubts.length} crops; selected ones are unlike the rest`,
    });
    this.#crops = doubts.map((doubt, place) => this.#crop(doubt, place));
    this.#grid.append(...this.#crops);
    this.append(question, this.#grid, this.#footer());
    new ResizeObserver(() => this.#fit()).observe(this.#grid);
    this.#at = Math.max(0, doubts.findIndex(({state}) => state === 'open'));
    this.#bind();
    this.#mark();
  }

  disconnectedCallback() { this.#closed.abort(); }

  focus(options) { this.#grid?.focus(options); }

  get #open() { return this.look.doubts.filter(({state}) => state === 'open'); }

  #bind() {
    const say = (name, detail) => () => this.#say(name, detail);
    const keys = {
      y: ['Right: objects of this class', () => this.#settle(true)], Enter: ['Right: objects of this class', () => this.#settle(true)],
      x: ['Wrong: no objects of this class', () => this.#settle(false)],
      ' ': ['Pick the crop out: it is unlike the rest', () => { if (this.#open.length > 1) this.#pick(this.#at, null); }],
      ArrowLeft: ['Previous crop', () => this.#move(-1)], ArrowRight: ['Next crop', () => this.#move(1)],
      ArrowUp: ['Crop above', () => this.#move(-this.#columns)], ArrowDown: ['Crop below', () => this.#move(this.#columns)],
      u: ['Undo', say('undo')], s: ['Skip', say('go', 1)], b: ['Previous sheet', say('go', -1)],
      e: ['Correct the crop in its frame', () => this.#say('correct', this.look.doubts[this.#at])],
    };
    this.classes.slice(0, 9).forEach((name, number) => {
      keys[number + 1] = ['Class of the crop', () => this.#classify(name)];
    });
    bind(keys, this.#closed.signal);
  }

  #question({name, kind, device}) {
    const many = this.look.doubts.length > 1;
    const noun = el('b', {}, swatch(colorOf(this.classes, name)), name);
    const asked = kind === 'label' ? ['Labeled ', noun, '. Right?'] : [`Not labeled. ${many ? 'Are these' : 'Is this'} `, noun, '?'];
    return el('h2', {}, ...(DEVICE[device] ? [DEVICE[device][0].toUpperCase(), DEVICE[device].slice(1), '. '] : []), ...asked);
  }

  #crop({id, kind, device, frame, name, xyxy: [x1, y1, x2, y2], polygons, side, state}, place) {
    const box = el('i', {class: 'box'});
    Object.assign(box.style, {
      width: `${100 * (x2 - x1) / side}%`, height: `${100 * (y2 - y1) / side}%`, borderColor: colorOf(this.classes, name),
    });
    const what = DEVICE[device] ?? MARKS[kind];
    return el('div', {
      id: `crop-${id}`, class: 'crop', role: 'option', 'aria-selected': 'false', 'data-state': state,
      'aria-label': `${place + 1}: ${what || name} in frame ${frame}${state === 'open' ? '' : `, ${state}`}`,
      onclick: () => { this.#at = place; if (this.#open.length > 1) this.#pick(place, null); this.#mark(); },
      ondblclick: () => this.#say('correct', this.look.doubts[place]),
    }, el('span', {class: 'picture'}, el('img', {src: `api/review/crops/${id}?v=${this.look.version}`, alt: '', draggable: 'false'}), box, polygons.length ? svg('svg', {viewBox: `${(x1 + x2 - side) / 2} ${(y1 + y2 - side) / 2} ${side} ${side}`, 'aria-hidden': 'true'}, filled(polygons, colorOf(this.classes, name))) : null),
    el('span', {class: 'caption'}, el('span', {}, `frame ${frame}`), el('span', {class: 'mark'}, state === 'open' ? what : state)));
  }

  #footer() {
    const button = (text, key, kind, act) => el('button', {type: 'button', class: kind, onclick: act}, text, ' ', el('kbd', {}, key));
    const classes = this.classes.slice(0, 9).map((name, number) => el('button', {type: 'button', class: 'class', onclick: () => this.#classify(name)},
      swatch(colorOf(this.classes, name)), name, ' ', el('kbd', {}, String(number + 1))));
    return el('footer', {},
      el('div', {}, button('Back', 'B', '', () => this.#say('go', -1)), button('Undo', 'U', '', () => this.#say('undo'))),
      el('div', {class: 'verdicts'}, button('Right', 'Y', 'right', () => this.#settle(true)), button('Wrong', 'X', 'wrong', () => this.#settle(false))),
      el('div', {class: 'end'}, button('Correct in frame', 'E', '', () => this.#say('correct', this.look.doubts[this.#at])), button('Skip', 'S', '', () => this.#say('go', 1))),
      el('div', {class: 'classes', role: 'group', 'aria-label': 'Class of the crop'}, ...classes));
  }

  /** Settle all that is open: what is picked out has the class it was given, or else the other verdict. */
  #settle(right) {
    const decisions = this.look.doubts.flatMap((doubt, place) => {
      if (doubt.state !== 'open') return [];
      const name = this.#picked.get(place), box = {name: doubt.name, xyxy: doubt.xyxy}, {frame} = doubt;
      if (name) return [{verdict: 'change', frame, box, to: {...box, name}}];
      return [{verdict: right !== this.#picked.has(place) ? 'right' : 'wrong', frame, box}];
    });
    if (decisions.length) this.#say('decide', {decisions}); else this.#say('go', 1);
  }

  #classify(name) {
    const doubt = this.look.doubts[this.#at];
    if (doubt.state !== 'open') return;
    if (this.#open.length > 1) { this.#pick(this.#at, name === doubt.name ? undefined : name); return; }
    this.#picked.clear();
    if (name !== doubt.name) this.#picked.set(this.#at, name);
    this.#settle(true);
  }

  /** Pick a crop out, with a class or null; the same again, or undefined, puts it back. */
  #pick(place, name) {
    if (this.look.doubts[place].state !== 'open') return;
    if (name === undefined || this.#picked.get(place) === name) this.#picked.delete(place); else this.#picked.set(place, name);
    this.#mark();
  }

  #move(by) {
    const to = this.#at + by;
    if (to >= 0 && to < this.look.doubts.length) this.#at = to;
    this.#mark();
  }

  #mark() {
    this.#crops.forEach((crop, place) => {
      const doubt = this.look.doubts[place];
      crop.classList.toggle('at', place === this.#at);
      crop.setAttribute('aria-selected', String(this.#picked.has(place)));
      if (doubt.state === 'open') {
        crop.querySelector('.mark').textContent = this.#picked.has(place) ? this.#picked.get(place) ?? 'unlike the rest' : MARKS[doubt.kind];
      }
    });
    const current = this.#crops[this.#at];
    this.#grid.setAttribute('aria-activedescendant', current.id);
    current.scrollIntoView({block: 'nearest'});
  }

  /** The largest crops of which all are in view. */
  #fit() {
    const {clientWidth, clientHeight} = this.#grid, count = this.#crops.length;
    let side = LARGEST;
    const columns = () => Math.max(1, Math.floor((clientWidth - GAP) / (side + GAP)));
    while (side > SMALLEST && (side + GAP > clientWidth || Math.ceil(count / columns()) * (side + CAPTION + GAP) + GAP > clientHeight)) side -= 4;
    this.#columns = Math.ceil(count / Math.ceil(count / columns())); // rows of about the same length
    this.#grid.style.setProperty('--side', `${side}px`);
    this.#grid.style.setProperty('--columns', String(this.#columns));
  }

  #say(name, detail) { this.dispatchEvent(new CustomEvent(name, {detail, bubbles: true})); }
}

customElements.define('review-sheet', ReviewSheet);
