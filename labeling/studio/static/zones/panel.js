// List of zones and lines, and the fields of the selected one. Every value can be typed.

import {colorOf, el, words} from '../lib/dom.js';
import {clamp} from '../lib/geometry.js';

const PERCENT = 100;

export class ZonePanel {
  /** Element of the page. */
  element = el('aside', {'aria-label': 'Zones and lines'});
  #places;
  #shown = '';

  constructor(places, signal) {
    this.#places = places;
    places.addEventListener('changed', () => this.#draw(), {signal});
    places.addEventListener('saved', () => this.#draw(), {signal});
  }

  #draw() {
    const {list, selected, problem} = this.#places;
    // Fields that are being typed in must keep the focus: only another structure builds them anew.
    const shape = JSON.stringify([problem, selected, this.#places.classes, list.map(({kind, points}) => [kind, points.length])]);
    if (shape !== this.#shown) {
      const before = document.activeElement?.closest('aside') === this.element ? document.activeElement.dataset.field : null;
      this.#shown = shape;
      this.#build();
      if (before) this.element.querySelector(`[data-field="${before}"]`)?.focus();
    }
    this.#fill();
  }

  #build() {
    const {list, problem, command} = this.#places;
    this.element.replaceChildren(
      problem ? el('p', {class: 'error', role: 'alert'}, problem) : '',
      el('section', {class: 'grow'},
        list.length ? el('ul', {}, ...list.map((place, number) => this.#row(place, number))) : el('p', {class: 'faint'}, 'Press P and click the corners of a zone, or L and the ends of a line.')),
      el('section', {}, el('p', {class: 'state', role: 'status'}), el('code', {class: 'command', tabindex: 0}, ...words(command))));
  }

  #row(place, number) {
    const chosen = number === this.#places.selected;
    const head = el('button', {type: 'button', class: 'head', 'aria-expanded': String(chosen), onclick: () => this.#places.select(chosen ? -1 : number), 'data-field': `head-${number}`},
      el('i', {}), el('span', {class: 'name'}), el('small', {}, place.kind));
    return el('li', {class: chosen ? 'chosen' : null}, head, el('p', {class: 'error', role: 'alert', hidden: true}), chosen ? this.#fields(place, number) : null);
  }

  #fields(place, number) {
    const set = (fields, step) => this.#places.set(number, fields, step);
    const input = (label, name, attributes, change) => el('label', {}, label, el('input', {'data-field': name, ...attributes, oninput: (event) => change(event.target)}));
    const fields = el('div', {class: 'fields'}, input('Name', 'name', {maxlength: 100, required: true}, ({value}) => set({name: value}, `name ${number}`)));
    if (place.kind === 'zone') {
      fields.append(input('Report after, seconds', 'dwell', {type: 'number', min: 0, step: 'any', placeholder: 'never'}, ({value}) => set({dwell_s: value === '' ? null : Number(value)}, `dwell ${number}`)));
    } else {
      fields.append(el('button', {type: 'button', 'data-field': 'turn', onclick: () => set({points: this.#places.list[number].points.toReversed()})}, 'Swap in and out'));
    }
    const {classes} = this.#places;
    const all = [...new Set([...classes, ...(place.classes ?? [])])];
    if (all.length) {
      fields.append(el('fieldset', {}, el('legend', {}, 'Classes that count; none chosen: all'), ...all.map((name) => el('label', {class: 'check'},
        el('input', {type: 'checkbox', value: name, 'data-field': `class ${name}`, onchange: () => this.#setClasses(fields, number)}), name))));
    }
    fields.append(this.#corners(place, number), el('button', {type: 'button', class: 'wrong', onclick: () => this.#places.remove(number)}, 'Delete ', el('kbd', {}, 'Del')));
    return fields;
  }

  #setClasses(fields, number) {
    const chosen = [...fields.querySelectorAll('[type=checkbox]:checked')].map(({value}) => value);
    this.#places.set(number, {classes: chosen.length ? chosen : null});
  }

  #corners(place, number) {
    const move = (corner, axis, value) => {
      const points = structuredClone(this.#places.list[number].points);
      points[corner][axis] = clamp(Number(value) / PERCENT, 0, 1);
      this.#places.set(number, {points}, `corner ${number} ${corner} ${axis}`);
    };
    const named = (corner) => (place.kind === 'zone' ? `Corner ${corner + 1}` : ['Start', 'End'][corner]);
    const rows = place.points.map((_, corner) => el('div', {class: 'corner'}, el('span', {}, named(corner)),
      ...['x', 'y'].map((axis, own) => el('input', {type: 'number', min: 0, max: PERCENT, step: 0.1, 'aria-label': `${named(corner)}, ${axis} in %`, 'data-field': `${corner} ${axis}`,
        oninput: (event) => { if (event.target.value !== '') move(corner, own, event.target.value); }})),
      place.kind === 'zone' ? el('button', {type: 'button', title: 'Add a corner after this one', 'aria-label': `Add a corner after corner ${corner + 1}`, onclick: () => this.#insert(number, corner)}, '+') : null,
      place.kind === 'zone' ? el('button', {type: 'button', title: 'Delete this corner', 'aria-label': `Delete corner ${corner + 1}`, disabled: place.points.length <= 3,
        onclick: () => this.#places.set(number, {points: this.#places.list[number].points.toSpliced(corner, 1)})}, '−') : null));
    return el('fieldset', {}, el('legend', {}, 'x and y, % of the frame'), ...rows);
  }

  #insert(number, corner) {
    const {points} = this.#places.list[number], [x1, y1] = points[corner], [x2, y2] = points[(corner + 1) % points.length];
    this.#places.set(number, {points: points.toSpliced(corner + 1, 0, [(x1 + x2) / 2, (y1 + y2) / 2])});
  }

  #fill() {
    const {list, selected, errors, state} = this.#places, names = list.map(({name}) => name);
    [...this.element.querySelectorAll('li')].forEach((row, number) => {
      const {name} = list[number], error = row.querySelector('.error');
      row.querySelector('i').style.background = colorOf(names, name);
      row.querySelector('.name').textContent = name;
      error.textContent = errors.get(number) ?? '';
      error.hidden = !errors.has(number);
    });
    const status = this.element.querySelector('.state');
    status.textContent = errors.get('') ?? {saving: 'Saving', saved: list.length ? 'Saved in zones.json' : '', 'not saved': 'Not saved: correct what is marked first'}[state];
    status.classList.toggle('error', state === 'not saved');
    const place = list[selected];
    if (!place) return;
    const put = (field, value) => {
      const input = this.element.querySelector(`[data-field="${CSS.escape(field)}"]`);
      if (input && input !== document.activeElement) input.value = value;
    };
    put('name', place.name);
    put('dwell', place.dwell_s ?? '');
    place.points.forEach(([x, y], corner) => { put(`${corner} x`, round(x)); put(`${corner} y`, round(y)); });
    for (const box of this.element.querySelectorAll('[type=checkbox]')) box.checked = place.classes?.includes(box.value) ?? false;
  }
}

const round = (share) => Math.round(share * 1000) / 10;
