// Try tab: the exported bundle on the project's frames, and on a clip or camera.

import {get} from '../lib/api.js';
import {attempt, el, style} from '../lib/dom.js';
import {on} from '../lib/events.js';
import '../try/compare-view.js';
import '../try/live-view.js';

class StudioTry extends HTMLElement {
  #closed = new AbortController();
  #place = el('div', {class: 'content'});
  #modes = {
    frames: el('button', {type: 'button', 'aria-pressed': 'true', onclick: () => this.#open('frames')}, 'Frames'),
    live: el('button', {type: 'button', 'aria-pressed': 'false', onclick: () => this.#open('live')}, 'Clip or camera'),
  };
  #name = el('p', {class: 'faint'});
  #bundle = null;

  async connectedCallback() {
    style('try/try.css');
    style('jobs/jobs.css');
    this.append(el('div', {class: 'modes', role: 'group', 'aria-label': 'Shown'}, ...Object.values(this.#modes), this.#name), this.#place);
    on('job', ({verb, status}) => { if (verb === 'export' && status === 'done') this.#load(); }, this.#closed.signal);
    await this.#load();
  }

  disconnectedCallback() { this.#closed.abort(); }

  async #load() {
    await attempt(async () => {
      this.#bundle = await get('try', this.#closed.signal);
      this.#name.textContent = this.#bundle.file ? `${this.#bundle.file}: ${this.#bundle.names.join(', ')}` : '';
      for (const button of Object.values(this.#modes)) button.disabled = !this.#bundle.file;
      if (this.#bundle.file) await this.#open('frames');
      else this.#place.replaceChildren(el('p', {class: 'none'}, ...this.#none(this.#bundle.others)));
    });
  }

  /** What to do if there is no ONNX file. */
  #none(others) {
    const link = (text) => el('a', {href: '#train'}, text);
    if (!others.length) return ['There is no detector yet. ', link('Train and export'), ' one first.'];
    return [`This tab tries ONNX files, and there is ${others.join(', ')} alone. `, link('Export'), ' with the runtime \u201cany\u201d as well.'];
  }

  async #open(mode) {
    for (const [name, button] of Object.entries(this.#modes)) button.setAttribute('aria-pressed', String(name === mode));
    const view = el(mode === 'frames' ? 'compare-view' : 'live-view');
    this.#place.replaceChildren(view);
    if (mode === 'frames') await attempt(async () => view.open(this.#bundle, (await get('frames', this.#closed.signal)).files.length));
    else view.file = this.#bundle.file;
  }
}

customElements.define('studio-try', StudioTry);
