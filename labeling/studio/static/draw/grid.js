// <frame-grid>: all frames as thumbnails. Only those in sight are elements.

import {el} from '../lib/dom.js';
import {clamp} from '../lib/geometry.js';
import {Thumbnails} from './thumbnails.js';

const CAPTION = 24, GAP = 8, NARROW = 150; // px
const SPARE_ROWS = 1; // above and below what is in sight
const FILTERS = {All: () => true, Drawn: (summary) => Boolean(summary), 'Not drawn': (summary) => !summary};

/** Words for the state of a frame, from its summary. */
function stateOf(summary, unreadable) {
  if (unreadable) return {kind: 'unreadable', text: 'cannot be read'};
  if (!summary) return {kind: 'none', text: 'not drawn'};
  const boxes = summary.boxes === 1 ? '1 box' : `${summary.boxes} boxes`;
  if (summary.complete) return {kind: 'complete', text: summary.boxes ? `${boxes}, complete` : 'empty, complete'};
  return {kind: 'partial', text: `${boxes}, not complete`};
}

/** Event `open`: detail {frame}. */
export class FrameGrid extends HTMLElement {
  #store;
  #thumbnails = new Thumbnails();
  #cells = new Map(); // frame: {cell, image, badge}
  #shown = []; // frames that pass the filter
  #filter = 'All';
  #open = null;
  #last = null; // frame that is open or was
  #focusing = false;
  #hints = new Map(); // frame: number of objects proposed on it
  #focused = 0; // place in #shown that Tab reaches
  #list = el('div', {class: 'list', role: 'listbox', 'aria-label': 'Frames'});
  #room = el('div', {class: 'room', role: 'presentation'});
  #filters = el('div', {class: 'filters', role: 'group', 'aria-label': 'Frames shown'});
  #count = el('span', {class: 'count'});
  #layout = {columns: 1, width: 1, height: 1};
  #ratio = 0.5625; // height to width of the thumbnails
  #known = false; // the ratio
  #pending = false;
  #size = new ResizeObserver(() => this.#arrange());

  /** @param {import('./store.js').Store} store */
  attach(store, signal) {
    this.#store = store;
    store.addEventListener('summary', ({detail}) => this.#summary(detail.frame), {signal});
    signal.addEventListener('abort', () => this.#size.disconnect());
    this.#filters.append(...Object.keys(FILTERS).map((name) => el('button', {type: 'button', onclick: () => this.#setFilter(name)}, name)));
    this.#list.append(this.#room);
    this.append(el('header', {}, this.#filters, this.#count), this.#list);
    this.#list.addEventListener('scroll', () => this.#later(), {passive: true});
    this.#list.addEventListener('keydown', (event) => this.#key(event));
    this.#size.observe(this.#list);
    this.#setFilter('All');
  }

  /** Frame that is open; it is kept in sight. */
  set open(frame) {
    const before = this.#open;
    this.#open = frame;
    if (frame !== null) this.#last = frame;
    for (const own of [before, frame]) if (this.#cells.has(own)) this.#paint(own);
    this.reveal();
  }

  /** Put the focus on the frame that was open last, once it is in sight. */
  focusLast() {
    this.#focusing = true;
    this.#later();
  }

  /** Number of objects that are proposed on frames. */
  set hints(hints) {
    this.#hints = hints;
    for (const frame of this.#cells.keys()) this.#paint(frame);
  }

  /** Scroll so that the open frame is in sight. */
  reveal() {
    const place = this.#shown.indexOf(this.#last);
    if (place < 0) return;
    this.#focused = place;
    this.#scrollTo(place, 0.5);
    this.#later();
  }

  #setFilter(name) {
    this.#filter = name;
    for (const button of this.#filters.children) button.setAttribute('aria-pressed', String(button.textContent === name));
    this.#pick();
  }

  #pick() {
    const passes = FILTERS[this.#filter];
    this.#shown = [];
    for (let frame = 0; frame < this.#store.files.length; frame++) if (passes(this.#store.drawn.get(frame))) this.#shown.push(frame);
    this.#focused = Math.max(0, this.#shown.indexOf(this.#last));
    this.#arrange();
  }

  #summary(frame) {
    const drawn = this.#store.drawn.size;
    const begin = drawn ? '' : '. Open one and box every object on it; about five frames are enough to begin.';
    this.#count.textContent = `${this.#store.files.length} frames, ${drawn} drawn${begin}`;
    if (frame === null) this.#pick();
    else if (this.#cells.has(frame)) this.#paint(frame); // a frame stays in sight though it no longer passes the filter
  }

  #arrange() {
    const room = this.#room.clientWidth, least = room < 260 ? 100 : 190;
    if (!room) return;
    const columns = Math.max(1, Math.floor((room + GAP) / (least + GAP)));
    const width = Math.floor((room - GAP * (columns - 1)) / columns);
    this.#layout = {columns, width, height: Math.round(width * this.#ratio) + CAPTION};
    for (const frame of [...this.#cells.keys()]) this.#remove(frame);
    this.#room.style.height = `${Math.ceil(this.#shown.length / columns) * (this.#layout.height + GAP)}px`;
    this.reveal();
    this.#later();
  }

  #later() {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => { this.#pending = false; this.#fill(); });
  }

  /** Make the cells in sight, remove the others. */
  #fill() {
    const {columns, height} = this.#layout, row = height + GAP, {scrollTop, clientHeight} = this.#list;
    const first = Math.max(0, Math.floor(scrollTop / row) - SPARE_ROWS) * columns;
    const last = Math.min(this.#shown.length, (Math.ceil((scrollTop + clientHeight) / row) + SPARE_ROWS) * columns);
    const wanted = new Map();
    for (let place = first; place < last; place++) wanted.set(this.#shown[place], place);
    for (const frame of [...this.#cells.keys()]) if (!wanted.has(frame)) this.#remove(frame);
    for (const [frame, place] of wanted) if (!this.#cells.has(frame)) this.#add(frame, place);
    const cell = this.#cells.get(this.#shown[this.#focused])?.cell;
    if (this.#focusing && cell && [document.body, this.#list].includes(document.activeElement)) { this.#focusing = false; cell.focus({preventScroll: true}); }
  }

  #add(frame, place) {
    const {columns, width, height} = this.#layout;
    const image = el('img', {alt: '', draggable: 'false', width, height: height - CAPTION});
    const badge = el('span', {class: 'badge'});
    const cell = el('div', {role: 'option', 'aria-setsize': this.#shown.length, 'aria-posinset': place + 1, title: this.#store.files[frame]},
      image, el('span', {class: 'caption'}, el('span', {class: 'number'}, frame), badge));
    cell.style.transform = `translate(${(place % columns) * (width + GAP)}px, ${Math.floor(place / columns) * (height + GAP)}px)`;
    cell.style.width = `${width}px`;
    cell.style.height = `${height}px`;
    cell.addEventListener('click', () => this.#choose(frame));
    cell.addEventListener('focus', () => { this.#focused = place; });
    this.#cells.set(frame, {cell, image, badge, place});
    this.#paint(frame);
    const before = [...this.#cells.values()].find((other) => other.place > place && other.cell.isConnected);
    this.#room.insertBefore(cell, before?.cell ?? null);
    this.#thumbnails.ask(frame, (blob) => {
      if (!blob) { this.#store.markUnreadable(frame, 'cannot be read'); return; }
      image.src = URL.createObjectURL(blob);
      image.onload = () => {
        URL.revokeObjectURL(image.src);
        this.#setRatio(image.naturalHeight / image.naturalWidth);
      };
    });
  }

  /** Shape of the cells: that of the first thumbnail. */
  #setRatio(ratio) {
    if (this.#known) return;
    this.#known = true;
    this.#ratio = clamp(ratio, 0.5, 1.2);
    this.#arrange();
  }

  #remove(frame) {
    const {cell} = this.#cells.get(frame);
    this.#thumbnails.drop(frame);
    if (cell === document.activeElement) {
      this.#list.focus();
      this.#focusing = true; // once it is in sight again
    }
    cell.remove();
    this.#cells.delete(frame);
  }

  #paint(frame) {
    const {cell, badge, place} = this.#cells.get(frame);
    const summary = this.#store.drawn.get(frame);
    const {kind, text} = stateOf(summary, this.#store.unreadable.get(frame));
    cell.className = `cell ${kind}`;
    const proposed = kind === 'none' && this.#hints.has(frame) ? `, ${this.#hints.get(frame)} proposed` : '';
    cell.setAttribute('aria-label', `Frame ${frame}, ${text}${proposed}`);
    cell.setAttribute('aria-selected', String(frame === this.#open));
    cell.tabIndex = place === this.#focused ? 0 : -1;
    const boxes = `${summary?.boxes}${this.#layout.width > NARROW ? ` box${summary?.boxes === 1 ? '' : 'es'}` : ''}`;
    const hint = this.#hints.get(frame);
    badge.textContent = {none: hint ? (this.#layout.width > NARROW ? `${hint} proposed` : `\u2248 ${hint}`) : '', unreadable: 'unreadable', complete: `\u2713 ${summary?.boxes ? boxes : 'empty'}`, partial: `${boxes}, open`}[kind];
  }

  #choose(frame) { this.dispatchEvent(new CustomEvent('open', {detail: {frame}})); }

  /** Scroll until a cell is in sight; if it is not, to this share of the height. */
  #scrollTo(place, share = null) {
    const row = this.#layout.height + GAP, top = Math.floor(place / this.#layout.columns) * row, {scrollTop, clientHeight} = this.#list;
    if (top >= scrollTop && top + row <= scrollTop + clientHeight) return;
    if (share !== null) this.#list.scrollTop = top - share * (clientHeight - row);
    else if (top < scrollTop) this.#list.scrollTop = top;
    else this.#list.scrollTop = top + row - clientHeight;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const {columns} = this.#layout, page = columns * Math.max(1, Math.floor(this.#list.clientHeight / (this.#layout.height + GAP)));
    const by = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity}[event.key];
    if (by !== undefined) {
      this.#focus(clamp(this.#focused + by, 0, this.#shown.length - 1));
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.#choose(this.#shown[this.#focused]);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #focus(place) {
    const before = this.#focused;
    this.#focused = place;
    this.#scrollTo(place);
    this.#fill();
    for (const own of [before, place]) if (this.#cells.has(this.#shown[own])) this.#paint(this.#shown[own]);
    this.#cells.get(this.#shown[place])?.cell.focus();
  }
}

customElements.define('frame-grid', FrameGrid);
