// Zones tab: polygons and lines in which `edgeloop run` counts, drawn on a frame.

import {get} from '../lib/api.js';
import {attempt, el, style} from '../lib/dom.js';
import {on} from '../lib/events.js';
import '../lib/frame-view.js';
import {clamp} from '../lib/geometry.js';
import {bind} from '../lib/keys.js';
import {ZonePanel} from '../zones/panel.js';
import {Pen} from '../zones/pen.js';
import {Places} from '../zones/places.js';

class StudioZones extends HTMLElement {
  #closed = new AbortController();
  #places = new Places();
  #files = [];
  #frame = 0;
  #view = el('frame-view', {tabindex: 0, role: 'application', 'aria-label': 'Frame: click or Space places a corner'});
  #pen;
  #hint = el('p', {class: 'hint', role: 'status'});
  #buttons = {};
  #number = el('input', {type: 'number', min: 0, 'aria-label': 'Number of the frame', onchange: ({target}) => this.#show(Number(target.value))});

  async connectedCallback() {
    style('zones/zones.css');
    const {signal} = this.#closed, panel = new ZonePanel(this.#places, signal);
    const button = (kind, text, key) => { this.#buttons[kind] = el('button', {type: 'button', 'aria-pressed': 'false', onclick: () => this.#begin(kind)}, text, ' ', el('kbd', {}, key)); return this.#buttons[kind]; };
    this.append(
      el('div', {class: 'middle'},
        el('div', {class: 'bar'}, button('zone', 'New zone', 'P'), button('line', 'New line', 'L'),
          el('button', {type: 'button', onclick: () => this.#places.undo()}, 'Undo'), this.#hint,
          el('span', {class: 'frame'}, 'Frame', this.#number)),
        this.#view),
      panel.element);
    this.#pen = new Pen(this.#view, this.#places, () => this.#tell(), signal);
    this.#bind(signal);
    on('reload', () => this.#places.refresh(), signal);
    on('zones', ({base}) => this.#places.heard(base), signal);
    on('classes', () => this.#places.refresh(), signal);
    this.#tell();
    await this.#places.load();
    this.#files = (await attempt(() => get('frames', signal)))?.files ?? [];
    this.#number.max = this.#files.length - 1;
    await this.#show(0);
  }

  disconnectedCallback() { this.#closed.abort(); }

  #begin(kind) { if (this.#places.problem === null) this.#pen.begin(kind); }

  #bind(signal) {
    const places = this.#places, pen = this.#pen;
    const next = (by) => { const count = places.list.length; if (count) places.select((places.selected + by + count) % count); };
    bind({
      p: ['New zone: click its corners, Enter ends it', () => this.#begin('zone')],
      l: ['New line: click its start and its end', () => this.#begin('line')],
      ...pen.crosshair.bindings,
      ' ': ['Corner at the crosshair', () => pen.place(pen.crosshair.at)],
      Enter: ['End the zone', () => pen.finish()],
      Escape: ['Stop drawing, or select nothing', () => { if (pen.kind) pen.cancel(); else places.select(-1); }],
      Backspace: ['Take the last corner back', () => pen.back()],
      Delete: ['Delete the selected zone or line', () => places.remove(places.selected)],
      w: ['Select the next zone or line', () => next(1)], q: ['Select the previous one', () => next(-1)],
      'Ctrl+z': ['Undo', () => places.undo()], 'Ctrl+Shift+z': ['Redo', () => places.redo()], 'Ctrl+y': ['Redo', () => places.redo()],
      d: ['Next frame', () => this.#show(this.#frame + 1)], a: ['Previous frame', () => this.#show(this.#frame - 1)],
      f: ['Whole frame in view', () => this.#view.fit()], '+': ['Zoom in', () => this.#view.zoom(1.4)], '-': ['Zoom out', () => this.#view.zoom(1 / 1.4)],
    }, signal);
  }

  async #show(number) {
    this.#frame = clamp(number, 0, Math.max(this.#files.length - 1, 0));
    this.#number.value = this.#frame;
    await attempt(() => this.#view.show(`api/frames/${this.#frame}/image`));
    this.#pen.redraw();
  }

  #tell() {
    const {kind} = this.#pen ?? {};
    for (const [own, button] of Object.entries(this.#buttons)) button.setAttribute('aria-pressed', String(own === kind));
    this.#hint.textContent = {zone: 'Click the corners; the first one again or Enter ends it', line: 'Click start and end; in is on its right'}[kind] ?? '';
    this.#view.classList.toggle('drawing', Boolean(kind));
  }
}

customElements.define('studio-zones', StudioZones);
