// Right column: state of the open frame, its boxes, the classes.

import {attempt, el} from '../lib/dom.js';
import {IGNORE} from './editor.js';

const SAVING = {
  saved: 'Saved', saving: 'Saving\u2026', waiting: 'The server does not answer. Your boxes are kept here and saved when it is back.',
  refused: 'Not saved: the server did not take it.',
};
const MEANING = {
  none: 'Nothing drawn. Labeling leaves this frame out.',
  partial: 'Some objects may have no box yet: labeling leaves this frame out until it is complete.',
  drawing: 'Draw every object: when you go on, the frame is complete, and labeling learns from it.',
  complete: 'Labeling learns from it: every object must have a box. Untick it if one has none.',
  empty: 'No object on it: labeling learns from it what is background.',
};

/** Update children of an element by key, so that the focus stays. */
function sync(parent, items, keyOf, make, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const after = items.map((item) => {
    const key = String(keyOf(item));
    const child = before.get(key) ?? make(item);
    child.dataset.key = key;
    update(child, item);
    return child;
  });
  if (after.length !== parent.children.length || after.some((child, at) => parent.children[at] !== child)) {
    const focused = document.activeElement;
    parent.replaceChildren(...after);
    if (focused && parent.contains(focused)) focused.focus();
  }
}

export class Panel {
  element = el('aside', {class: 'side', 'aria-label': 'Frame, boxes and classes'});
  /** Room for proposals. */
  proposals = el('section', {class: 'proposals', 'aria-label': 'Proposals'});
  #editor;
  #askClass;
  #saving = el('p', {class: 'saving', role: 'status'});
  #meaning = el('p', {class: 'meaning'});
  #complete = el('input', {type: 'checkbox'});
  #next = el('button', {type: 'button', class: 'primary', title: 'Every object has a box: on to the frame to draw next'}, 'Complete, go on ', el('kbd', {}, 'Enter'));
  #boxes = el('ol', {class: 'boxes'});
  #boxesTitle = el('h2', {}, 'Boxes');
  #classes = el('ol', {class: 'classes'});
  #focusClass = null; // its row gets the focus once it is there
  #said = el('p', {class: 'unseen', role: 'status'});

  /**
   * @param {function(HTMLElement): void} askClass Ask for the class of the selected box, or the next one.
   * @param {function(): void} complete Mark the frame as complete, and open the one to draw next.
   */
  constructor(editor, askClass, complete, signal) {
    this.#editor = editor;
    this.#askClass = askClass;
    this.#next.addEventListener('click', complete);
    this.#complete.addEventListener('change', () => editor.markComplete(this.#complete.checked));
    this.element.append(
      el('section', {class: 'state', 'aria-label': 'This frame'}, el('header', {}, el('label', {}, this.#complete, ' Complete'), this.#saving), this.#meaning, this.#next),
      this.proposals,
      el('section', {'aria-label': 'Classes'}, el('header', {}, el('h2', {}, 'Classes'), el('button', {type: 'button', class: 'quiet', onclick: (event) => this.#askClass(event.currentTarget)}, 'Type a class ', el('kbd', {}, 'L'))), this.#classes),
      el('section', {class: 'grow', 'aria-label': 'Boxes of this frame'}, el('header', {}, this.#boxesTitle), this.#boxes, this.#said));
    editor.addEventListener('changed', () => this.#later(), {signal});
    editor.addEventListener('selected', () => { this.#later(); this.#say(); }, {signal});
    for (const kind of ['saving', 'summary']) editor.store.addEventListener(kind, () => this.#later(), {signal});
    this.#update();
  }

  #pending = false;

  #later() {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => { this.#pending = false; this.#update(); });
  }

  #update() {
    const editor = this.#editor, {state, selected} = editor, {saving} = editor.store;
    const kind = editor.completesWhenLeft ? 'drawing' : !state ? 'none' : state.complete ? (state.boxes.length ? 'complete' : 'empty') : state.boxes.length ? 'partial' : 'none';
    this.#complete.checked = Boolean(state?.complete);
    this.#complete.disabled = this.#next.disabled = !editor.ready;
    this.#meaning.textContent = state && !state.width ? 'This frame cannot be read; it is left out.' : MEANING[kind];
    if (this.#saving.textContent !== SAVING[saving]) this.#saving.textContent = SAVING[saving];
    this.#saving.className = `saving ${saving}`;
    this.#boxesTitle.textContent = editor.boxes.length ? `Boxes (${editor.boxes.length})` : 'Boxes';
    sync(this.#boxes, editor.boxes, (box) => box.id, (box) => this.#boxRow(box), (row, box) => this.#updateBox(row, box, selected));
    const counts = editor.store.counts();
    const rows = [...editor.classes.map((name, at) => ({name, key: at < 9 ? String(at + 1) : ''})), {name: IGNORE, key: '0'}];
    sync(this.#classes, rows, ({name}) => name, ({name}) => this.#classRow(name), (row, item) => this.#updateClass(row, item, counts));
    const row = [...this.#classes.children].find(({dataset}) => dataset.key === this.#focusClass);
    if (row && [document.body, this.#classes].includes(document.activeElement)) {
      row.firstElementChild.focus();
      this.#focusClass = null;
    }
  }

  #boxRow({id}) {
    const editor = this.#editor;
    const choose = (event) => {
      editor.select(id);
      if (!event.detail) this.#askClass(event.currentTarget); // by key
    };
    return el('li', {}, el('button', {type: 'button', onfocus: () => editor.select(id), onclick: choose, ondblclick: (event) => this.#askClass(event.currentTarget)},
      el('i', {class: 'swatch'}), el('span', {class: 'name'}), el('span', {class: 'place'})));
  }

  #updateBox(row, box, selected) {
    const [button] = row.children, [swatch, name, place] = button.children, [x1, y1, x2, y2] = box.xyxy.map(Math.round);
    swatch.style.background = this.#editor.colorOf(box.name);
    name.textContent = box.name;
    place.textContent = `${x2 - x1} \u00d7 ${y2 - y1}`;
    button.setAttribute('aria-label', describe(box));
    if (box.id === selected?.id) {
      button.setAttribute('aria-current', 'true');
      if (row.dataset.shown !== 'yes') row.scrollIntoView({block: 'nearest'});
      row.dataset.shown = 'yes';
    } else {
      button.removeAttribute('aria-current');
      row.dataset.shown = '';
    }
  }

  #classRow(name) {
    const rename = () => this.#rename(row, name);
    const button = el('button', {type: 'button', onclick: () => this.#editor.choose(name), ondblclick: rename, onkeydown: (event) => {
      if (event.key === 'F2') rename();
      else if (event.key === 'Delete') this.#remove(name);
      else if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) this.#reorder(name, event.key === 'ArrowUp' ? -1 : 1);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }}, el('kbd', {}), el('i', {class: 'swatch'}), el('span', {class: 'name'}, name), el('span', {class: 'count'}));
    const row = el('li', {}, button);
    if (name === IGNORE) {
      button.title = 'Objects that must not be labeled, such as half hidden ones';
      return row;
    }
    button.title = 'F2 or double click: rename. Alt+arrows or drag: other number key. Delete: remove, if it has no boxes';
    row.draggable = true;
    row.addEventListener('dragstart', (event) => event.dataTransfer.setData('text/plain', name));
    row.addEventListener('dragover', (event) => event.preventDefault());
    row.addEventListener('drop', (event) => {
      event.preventDefault();
      this.#put(event.dataTransfer.getData('text/plain'), this.#editor.classes.indexOf(name));
    });
    return row;
  }

  #updateClass(row, {name, key}, counts) {
    const [button] = row.children;
    if (button.localName !== 'button') return; // being renamed
    const [number, swatch, , count] = button.children;
    number.textContent = key;
    number.hidden = !key;
    swatch.style.background = this.#editor.colorOf(name);
    count.textContent = counts.get(name) ?? 0;
    button.setAttribute('aria-pressed', String((this.#editor.selected?.name ?? this.#editor.current) === name));
  }

  #rename(row, name) {
    if (name === IGNORE) return;
    const [button] = row.children;
    let over = false;
    const finish = (to) => {
      if (over) return;
      over = true;
      field.replaceWith(button);
      button.focus();
      const merges = to !== name && this.#editor.classes.includes(to);
      if (merges && !confirm(`${name} and ${to} become one class. This cannot be undone.`)) return;
      if (!to || to === name) return;
      this.#focusClass = to;
      attempt(() => this.#editor.store.rename(name, to));
    };
    const field = el('input', {'aria-label': `New name of ${name}`, maxlength: 100, value: name, onblur: () => finish(null), onkeydown: (event) => {
      if (event.key === 'Enter') finish(field.value.trim());
      if (event.key === 'Escape') finish(null);
    }});
    button.replaceWith(field);
    field.select();
  }

  #remove(name) {
    const {classes} = this.#editor, at = classes.indexOf(name);
    this.#focusClass = classes[at + 1] ?? classes[at - 1];
    attempt(() => this.#editor.store.changeClasses((names) => names.filter((own) => own !== name)));
  }

  #reorder(name, by) { this.#put(name, this.#editor.classes.indexOf(name) + by); }

  #put(name, to) {
    const names = this.#editor.classes, from = names.indexOf(name);
    if (from < 0 || to < 0 || to >= names.length || to === from) return;
    names.splice(to, 0, ...names.splice(from, 1));
    attempt(() => this.#editor.store.changeClasses((known) => [...names, ...known.filter((own) => !names.includes(own))]));
  }

  #say() {
    const {selected} = this.#editor;
    if (selected && !this.#boxes.contains(document.activeElement)) this.#said.textContent = describe(selected);
  }
}

/** A box in words. */
function describe({name, xyxy}) {
  const [x1, y1, x2, y2] = xyxy.map(Math.round);
  return `${name}, from ${x1}, ${y1} to ${x2}, ${y2}`;
}
