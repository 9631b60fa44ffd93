// Zones and lines being edited: undo, redo, and saving after every change, one request at a time.

import {ApiError, get, put} from '../lib/api.js';
import {attempt, notice} from '../lib/dom.js';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/**
 * A place: {kind: 'zone' | 'line', name, points: [x, y][] in shares, classes: string[] | null, dwell_s: number | null}.
 * Events: `changed` after every change; `saved` after every reply.
 */
export class Places extends EventTarget {
  list = [];
  /** Place of `list` that is edited, or -1. */
  selected = -1;
  /** Error of a place by its place in `list`; '' is of none. */
  errors = new Map();
  /** Reason why the file cannot be edited, or null. */
  problem = null;
  command = '';
  classes = [];
  /** 'saving', 'saved' or 'not saved'. */
  state = 'saved';
  #base = '';
  #undo = [];
  #redo = [];
  #step = null;
  #saving = false;
  #again = false;

  /** Load what the file has. */
  async load() {
    const shown = await attempt(() => get('zones'));
    if (!shown) return;
    this.#base = shown.base;
    [this.command, this.classes, this.problem] = [shown.command, shown.classes, shown.problem];
    this.list = [...shown.zones.map((zone) => ({kind: 'zone', ...zone})), ...shown.lines.map((line) => ({kind: 'line', dwell_s: null, ...line}))];
    this.selected = Math.min(this.selected, this.list.length - 1);
    this.#undo = [];
    this.#redo = [];
    this.errors.clear();
    this.state = 'saved';
    this.#changed();
  }

  /** Load again after the file may have changed; what is not saved here is sent again instead. */
  refresh() { return this.state === 'saved' ? this.load() : this.#save(); }

  /** Load again if another page saved. */
  heard(base) { if (!this.#saving && base !== this.#base) this.refresh(); }

  /** Name that no place has. */
  freeName(kind) {
    const names = new Set(this.list.map(({name}) => name));
    for (let number = 0; ; number++) {
      const name = `${kind} ${LETTERS[number] ?? number + 1}`;
      if (!names.has(name)) return name;
    }
  }

  select(number) {
    if (number === this.selected) return;
    this.selected = number;
    this.#step = null;
    this.#changed();
  }

  add(kind, points) {
    this.#remember();
    this.list = [...this.list, {kind, name: this.freeName(kind), points, classes: null, dwell_s: null}];
    this.selected = this.list.length - 1;
    this.#change();
  }

  /** Change fields of a place. Changes of the same `step`, such as a drag, are undone together. */
  set(number, fields, step = null) {
    if (step === null || step !== this.#step) this.#remember();
    this.#step = step;
    this.list = this.list.map((place, own) => (own === number ? {...place, ...fields} : place));
    this.#change();
  }

  remove(number) {
    if (!this.list[number]) return;
    this.#remember();
    this.list = this.list.filter((_, own) => own !== number);
    this.selected = Math.min(this.selected, this.list.length - 1);
    this.#change();
  }

  undo() { this.#swap(this.#undo, this.#redo); }
  redo() { this.#swap(this.#redo, this.#undo); }

  #remember() {
    this.#undo.push(this.list);
    this.#redo = [];
    this.#step = null;
  }

  #swap(from, to) {
    if (!from.length) return;
    to.push(this.list);
    this.list = from.pop();
    this.selected = Math.min(this.selected, this.list.length - 1);
    this.#step = null;
    this.#change();
  }

  #changed() { this.dispatchEvent(new Event('changed')); }

  #change() {
    this.state = 'saving';
    this.#changed();
    this.#save();
  }

  async #save() {
    if (this.#saving) { this.#again = true; return; }
    this.#saving = true;
    do {
      this.#again = false;
      await this.#send();
    } while (this.#again);
    this.#saving = false;
    this.dispatchEvent(new Event('saved'));
  }

  async #send() {
    const order = [...this.list.keys()].sort((a, b) => (this.list[a].kind === 'line') - (this.list[b].kind === 'line') || a - b); // as the file has them
    const sent = (number) => { const {kind, dwell_s, ...common} = this.list[number]; return kind === 'zone' ? {...common, dwell_s} : common; };
    const body = {
      base: this.#base,
      zones: order.filter((number) => this.list[number].kind === 'zone').map(sent),
      lines: order.filter((number) => this.list[number].kind === 'line').map(sent),
    };
    try {
      const reply = await put('zones', body);
      this.errors = new Map(reply.saved ? [] : [[order[reply.place] ?? '', reply.detail]]);
      this.state = reply.saved ? 'saved' : 'not saved';
      if (reply.saved) this.#base = reply.base;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.state = 'not saved';
      this.errors = new Map([['', error.message]]);
      if (error.status === 409) { notice(error); this.#again = false; await this.load(); }
    }
  }
}
