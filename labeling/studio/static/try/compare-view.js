// <compare-view>: the bundle's boxes on the left, the labels on the right, zoomed and panned together.

import {get, post} from '../lib/api.js';
import {attempt, colorOf, el} from '../lib/dom.js';
import {clamp, iou} from '../lib/geometry.js';
import {bind} from '../lib/keys.js';
import '../lib/frame-view.js';

const LEAST_IOU = 0.5;

/** Split boxes into those with a partner of their class in the other list and those without, surest first. */
function matched(found, labels) {
  const free = new Set(labels);
  const extra = new Set();
  for (const box of [...found].sort((one, other) => other.score - one.score)) {
    const partner = [...free].filter(({name}) => name === box.name).map((label) => [iou(box.xyxy, label.xyxy), label]).sort(([one], [other]) => other - one)[0];
    if (partner && partner[0] >= LEAST_IOU) free.delete(partner[1]); else extra.add(box);
  }
  return {extra, missed: free};
}

class CompareView extends HTMLElement {
  #closed = new AbortController();
  #bundle = null;
  #frames = [];
  #number = 0;
  #begin = false; // D goes to the frame that differs most
  #shown = null;
  #views = {found: el('frame-view', {role: 'img'}), labels: el('frame-view', {role: 'img'})};
  #captions = {found: el('p'), labels: el('p')};
  #confidence = el('input', {type: 'range', min: 0.05, max: 0.95, step: 0.05, value: 0.25, 'aria-label': 'Minimum score'});
  #score = el('output');
  #place = el('span', {class: 'place', role: 'status'});
  #ranking = el('ol', {class: 'ranking'});
  #compare = el('button', {type: 'button', onclick: () => this.#startComparison()}, 'Find frames that differ');
  #compared = el('p', {class: 'faint', role: 'status'});
  #again = 0; // timer of the next look at the comparison

  connectedCallback() {
    const step = (title, by) => el('button', {type: 'button', title, 'aria-label': title, onclick: () => this.#go(this.#number + by)}, by < 0 ? '◀' : '▶');
    this.append(
      el('div', {class: 'bar'}, step('Previous frame', -1), this.#place, step('Next frame', 1),
        el('label', {}, 'Minimum score', this.#confidence, this.#score)),
      el('div', {class: 'pair'}, ...Object.keys(this.#views).map((side) => el('figure', {}, this.#captions[side], this.#views[side]))),
      el('aside', {'aria-label': 'Frames that differ most'}, this.#compare, this.#compared, this.#ranking));
    const {found, labels} = this.#views;
    found.addEventListener('drawn', () => { labels.view = found.view; });
    labels.addEventListener('drawn', () => { found.view = labels.view; });
    this.#confidence.addEventListener('input', () => this.#draw());
    this.#confidence.addEventListener('change', () => { if (this.#ranking.children.length) this.#rank(); });
    const far = Number.MAX_SAFE_INTEGER;
    bind({
      ArrowLeft: ['Previous frame', () => this.#go(this.#number - 1)], ArrowRight: ['Next frame', () => this.#go(this.#number + 1)],
      Home: ['First frame', () => this.#go(0)], End: ['Last frame', () => this.#go(far)],
      d: ['Next frame that differs most', () => this.#next()],
      '+': ['Zoom in', () => found.zoom(1.3)], '-': ['Zoom out', () => found.zoom(1 / 1.3)], 0: ['Show the whole frame', () => { found.fit(); labels.fit(); }],
      ',': ['Lower minimum score', () => this.#move(-0.05)], '.': ['Higher minimum score', () => this.#move(0.05)],
    }, this.#closed.signal);
  }

  disconnectedCallback() { this.#closed.abort(); }

  /** Begin with a bundle as of `/try`. */
  async open(bundle, count) {
    this.#bundle = bundle;
    this.#frames = count;
    this.#confidence.value = bundle.confidence;
    await this.#go(0);
  }

  async #go(number) {
    const wanted = clamp(number, 0, this.#frames - 1);
    this.#number = wanted;
    this.#place.textContent = `Frame ${wanted}`;
    await attempt(async () => {
      const [shown] = await Promise.all([get(`try/frames/${wanted}`, this.#closed.signal), ...Object.values(this.#views).map((view) => view.show(`api/frames/${wanted}/image`))]);
      if (wanted !== this.#number) return;
      this.#shown = shown;
      this.#draw();
    });
  }

  #draw() {
    const least = Number(this.#confidence.value);
    this.#score.textContent = least.toFixed(2);
    if (!this.#shown) return;
    const found = this.#shown.found.filter(({score}) => score >= least - 1e-9);
    const labels = this.#shown.labels ?? [];
    const {extra, missed} = this.#shown.labels ? matched(found, labels) : {extra: new Set(), missed: new Set()};
    const shape = (odd) => (box) => ({
      xyxy: box.xyxy, polygons: box.polygons, color: colorOf(this.#bundle.names, box.name), selected: odd.has(box), label: `${box.name} ${Math.round(100 * box.score)}${odd.has(box) ? ' !' : ''}`,
    });
    this.#views.found.shapes = found.map(shape(extra));
    this.#views.labels.shapes = labels.map(shape(missed));
    const counts = (many, odd, word) => `${many.length} ${many.length === 1 ? 'box' : 'boxes'}${odd.size ? `, ${odd.size} ${word}` : ''}`;
    this.#captions.found.replaceChildren(el('b', {}, 'Detector'), ` ${counts(found, extra, 'without a label')}`);
    this.#captions.labels.replaceChildren(el('b', {}, 'Labels'), this.#shown.labels ? ` ${counts(labels, missed, 'not detected')} · ${this.#shown.split}` : ' not in the dataset');
    for (const [side, view] of Object.entries(this.#views)) {
      view.setAttribute('aria-label', this.#captions[side].textContent);
      view.redraw();
    }
  }

  #move(by) {
    this.#confidence.value = Number(this.#confidence.value) + by;
    this.#draw();
  }

  #startComparison() {
    attempt(async () => {
      await post('try/compare');
      this.#begin = true;
      await this.#rank();
    });
  }

  async #rank() {
    await attempt(async () => {
      const {compared, total, frames} = await get(`try/differences?confidence=${this.#confidence.value}`, this.#closed.signal);
      const odd = frames.filter(({extra, missed}) => extra + missed > 0);
      this.#compared.textContent = compared < total ? `${compared} of ${total} frames` : `${odd.length} of ${frames.length} frames differ`;
      this.#ranking.replaceChildren(...odd.slice(0, 50).map(({number, extra, missed}) => el('li', {},
        el('button', {type: 'button', 'data-number': number, onclick: () => { this.#begin = false; this.#go(number); }}, `frame ${number}`),
        el('span', {class: 'faint'}, [extra ? `${extra} extra` : '', missed ? `${missed} missed` : ''].filter(Boolean).join(', ')))));
      clearTimeout(this.#again);
      if (compared < total && !this.#closed.signal.aborted) this.#again = setTimeout(() => this.#rank(), 1000);
    });
  }

  #next() {
    const numbers = [...this.#ranking.querySelectorAll('button')].map((button) => Number(button.dataset.number));
    if (!numbers.length) { this.#startComparison(); return; }
    this.#go(numbers[this.#begin ? 0 : (numbers.indexOf(this.#number) + 1) % numbers.length]);
    this.#begin = false;
  }
}

customElements.define('compare-view', CompareView);
