// Label tab: what will be labeled, the job, and what it has labeled so far.

import {get} from '../lib/api.js';
import {attempt, colorOf, el, style, swatch} from '../lib/dom.js';
import {every, on} from '../lib/events.js';
import '../jobs/job-panel.js';
import {optionsForm} from '../jobs/options.js';
import {showSheet} from '../label/sheet.js';

const OPTIONS = [
  {name: 'task', label: 'Labels', kind: 'choice', choices: [['detect', 'boxes'], ['segment', 'masks']], hint: 'Masks are polygons, from which a detector learns to find masks as well as boxes'},
  {name: 'confidence', label: 'Minimum score', kind: 'number', min: 0, max: 1, step: 0.05, placeholder: '0.5', hint: 'Higher values give fewer wrong labels but miss more; labels just below it go to review'},
  {name: 'seed', label: 'Random seed', kind: 'number', min: 0, step: 1, placeholder: '0', zero: 0},
  {name: 'moving', label: 'Everything that moves (fixed camera, no exemplars)', kind: 'check', advanced: true},
  {name: 'footage', label: 'Frames are', kind: 'choice', choices: [['auto', 'automatic'], ['film', 'film'], ['photos', 'photos']], advanced: true},
  {name: 'val_share', label: 'Share for validation', kind: 'number', min: 0, max: 0.9, step: 0.05, placeholder: '0.2', advanced: true},
  {name: 'device', label: 'Device', kind: 'choice', choices: [['cpu', 'CPU'], ['cuda', 'CUDA']], advanced: true},
];
const WORDS = {start: 'Label', again: 'Label again', aside: 'Labeling again renames the present dataset to dataset.1, 2, …'};
/** Words while another task is chosen than that of the dataset. */
const rewriting = (task) => ({...WORDS, again: task === 'segment' ? 'Write masks' : 'Write boxes', anew: 'Label again', aside: 'The labels of the present dataset are written again, and nothing is labeled anew'});
const REFRESH_MS = 2000;

class StudioLabel extends HTMLElement {
  #closed = new AbortController();
  #settings = {};
  #labels = null;
  #panel = el('job-panel', {verb: 'label'});
  #facts = el('dl', {class: 'facts'});
  #hint = el('p', {class: 'faint'});
  #options = el('div');
  #promise = el('div', {class: 'promise'});
  #classes = el('table');
  #review = el('p', {hidden: true}, el('a', {href: '#review'}, 'Review the labels'));
  #sheet = el('div', {class: 'sheet'});
  #sheetTitle = el('h2', {hidden: true});

  async connectedCallback() {
    style('label/label.css');
    const panel = this.#panel;
    panel.words = WORDS;
    panel.changed = () => this.#showRest();
    this.append(el('div', {class: 'job-tab'},
      el('aside', {}, el('div', {}, el('h2', {}, 'To be labeled'), this.#facts, this.#hint), this.#options, panel),
      el('section', {}, this.#promise, el('div', {class: 'counts'}, this.#classes, this.#review), el('div', {}, this.#sheetTitle, this.#sheet))));
    on('boxes', () => this.#load(), this.#closed.signal);
    on('job', ({verb, status}) => { if (verb === 'label' && status !== 'running') this.#load(); }, this.#closed.signal);
    every(REFRESH_MS, () => { if (panel.job?.status === 'running' || panel.job?.elsewhere) this.#load(); }, this.#closed.signal);
    await attempt(async () => {
      const {settings} = await get('jobs/label');
      this.#options.append(optionsForm(OPTIONS, settings, (changed) => this.#set(changed)));
      this.#set(settings);
      await this.#load();
    });
  }

  disconnectedCallback() { this.#closed.abort(); }

  #set(settings) {
    this.#settings = settings;
    this.#panel.setSettings(settings);
    if (this.#labels) this.#showRest();
  }

  async #load() {
    await attempt(async () => {
      this.#labels = await get('labels', this.#closed.signal);
      const {frames, exemplars, incomplete, classes} = this.#labels;
      this.#facts.replaceChildren(
        el('dt', {}, 'Frames'), el('dd', {}, String(frames)),
        el('dt', {}, 'Exemplars'), el('dd', {}, `${exemplars}${incomplete ? ` (${incomplete} incomplete, left out)` : ''}`),
        el('dt', {}, 'Classes'), el('dd', {}, classes.filter(({drawn}) => drawn).map(({name}) => name).join(', ') || 'none yet'));
      this.#showRest();
    });
  }

  #showRest() {
    if (!this.#labels) return;
    const {classes, sheet, labeled, splits, promise, task} = this.#labels;
    const names = classes.map(({name}) => name);
    const ready = this.#settings.moving || classes.some(({drawn}) => drawn > 0);
    const blocked = ready ? '' : 'there is nothing to learn from yet', rewrites = Boolean(task) && task !== this.#settings.task;
    if (this.#panel.blocked !== blocked || this.#panel.goesOn !== rewrites) {
      Object.assign(this.#panel, {blocked, goesOn: rewrites, words: rewrites ? rewriting(this.#settings.task) : WORDS});
      this.#panel.refresh();
      return;
    }
    this.#hint.replaceChildren(...(ready ? [] : ['Box every object of interest on about five frames in ', el('a', {href: '#draw'}, 'Draw'), '.']));
    this.#showPromise(promise);
    this.#showClasses(classes, labeled, splits);
    showSheet(this.#sheet, sheet, names);
    const running = ['running', 'pausing', 'paused'].includes(this.#panel.job?.status) || this.#panel.job?.elsewhere;
    this.#sheetTitle.hidden = !sheet.length;
    this.#sheetTitle.textContent = sheet.length ? (running ? 'Labeled last' : 'Labeled frames') : '';
  }

  #showPromise(promise) {
    const tile = (name, value) => el('div', {class: 'tile'}, el('b', {}, value ? value.value.toFixed(2) : '—'),
      el('span', {}, value ? `${name}, ${value.low.toFixed(2)} to ${value.high.toFixed(2)}` : name));
    this.#promise.replaceChildren(...(promise ? [
      el('h2', {}, 'Expected on other frames'),
      el('div', {class: 'tiles'}, tile('precision', promise.precision), tile('recall', promise.recall), tile('mAP50', promise.map50)),
      promise.too_few.length ? el('p', {class: 'faint'}, `Not estimated: ${promise.too_few.join(', ')}. Box them on two frames or more.`) : '',
    ] : []));
  }

  #showClasses(classes, labeled, splits) {
    const parts = Object.entries(splits).map(([name, count]) => `${count} ${name}`);
    const names = classes.map(({name}) => name);
    const rows = classes.map(({name, drawn, labels, frames}) => el('tr', {},
      el('td', {}, swatch(colorOf(names, name)), name), ...[drawn, labels, frames].map((count) => el('td', {}, String(count)))));
    const done = this.#panel.job?.status === 'done', missing = done && labeled ? this.#labels.frames - labeled : 0;
    if (missing > 0) parts.push(`${missing} left out or unsure`);
    this.#review.hidden = !labeled || !done;
    this.#classes.hidden = !classes.length;
    this.#classes.replaceChildren(
      el('caption', {}, `${labeled} of ${this.#labels.frames} frames labeled${parts.length ? `: ${parts.join(', ')}` : ''}`),
      el('thead', {}, el('tr', {}, ...['Class', 'Drawn', 'Labels', 'On frames'].map((name) => el('th', {scope: 'col'}, name)))),
      el('tbody', {}, ...rows));
  }
}

customElements.define('studio-label', StudioLabel);
