// Proposals in the Draw tab: dashed boxes on the open frame, and the panel that shows, accepts and rejects them.

import {get} from '../lib/api.js';
import {attempt, counted, el, style} from '../lib/dom.js';
import {on} from '../lib/events.js';
import {bind} from '../lib/keys.js';
import {OpenFrame, percent} from './open-proposals.js';

const SAYS = {
  off: () => 'Not running.',
  waiting: (_, drawn) => (drawn ? 'Begins when nothing is drawn for a moment.' : 'Draw the boxes of one frame: the same is then looked for on all others.'),
  learning: ({learning_from: from, progress}) => `Learning from ${frames(from)}\u2026 ${percent(progress)}`,
  searching: ({learned_from: from, searched}) => `Learned from ${frames(from)}, ${searched} searched\u2026`,
  ready: ({learned_from: from, searched}) => `Learned from ${frames(from)}, all ${searched} others searched.`,
  paused: () => 'Waits until the running job ends.',
  failed: () => 'Stopped.',
};

const frames = (count) => counted(count, 'frame');
const range = ({value, low, high}) => `${percent(value)} (${Math.round(100 * low)}\u2013${percent(high)})`;

let shown = true; // P; as long as the page lasts
let threshold = 0.5;

/** Add the proposals to the Draw tab; `signal` ends them with it. */
export function attachProposals(tab, signal) { return new Proposals(tab, signal); }

class Proposals {
  #tab;
  #signal;
  #summary = null;
  #rows = new Map();
  #open;
  #state = el('p', {class: 'told', role: 'status'});
  #bar = el('progress', {max: 1, 'aria-label': 'Progress'});
  #estimate = el('p', {class: 'estimate'});
  #toggle = el('button', {type: 'button', class: 'quiet', onclick: () => this.#show(!shown)}, 'Shown ', el('kbd', {}, 'P'));
  #here = el('p', {class: 'here', role: 'status'});
  #slider = el('input', {type: 'range', min: 0.05, max: 0.95, step: 0.05, value: threshold, 'aria-label': 'Least probability of a proposal that is shown'});
  #least = el('output', {});
  #actions = el('div', {class: 'actions', role: 'group', 'aria-label': 'Proposals of this frame'});
  #crops = el('div', {class: 'looks'});
  #next = el('button', {type: 'button', class: 'next', onclick: () => this.#drawNext()});
  #body;

  constructor(tab, signal) {
    style('draw/proposals.css');
    this.#tab = tab;
    this.#signal = signal;
    this.#open = new OpenFrame(tab, () => (shown ? threshold : 2), () => this.#drawHere());
    this.#body = el('div', {}, this.#here, this.#actions,
      el('label', {class: 'least'}, 'From ', this.#slider, this.#least), this.#crops);
    tab.panel.append(el('header', {}, el('h2', {}, 'Proposals'), this.#toggle), this.#state, this.#bar, this.#estimate, this.#next, this.#body);
    this.#slider.addEventListener('pointerup', () => this.#slider.blur()); // the keys work on
    this.#slider.addEventListener('input', () => { threshold = Number(this.#slider.value); this.#show(true); });
    const open = this.#open;
    this.#actions.append(
      action('Accept', 'Y', () => open.accept()), action('Reject', 'X', () => open.reject()),
      action('Previous', 'K', () => open.step(-1)), action('Next', 'J', () => open.step(1)),
      action('Accept all, complete', 'Shift+Y', () => this.#acceptAll()), action('Reject all', 'Shift+X', () => open.rejectAll()),
      action('Take back', 'U', () => open.restore()));
    bind({
      p: ['Proposals shown or hidden', () => this.#show(!shown)],
      j: ['Next proposal', () => open.step(1)],
      k: ['Previous proposal', () => open.step(-1)],
      y: ['Accept the proposal', () => open.accept()],
      x: ['Reject the proposal, for good', () => open.reject()],
      'Shift+y': ['Accept all proposals that are shown: the frame is complete', () => this.#acceptAll()],
      'Shift+x': ['Reject all proposals that are shown', () => open.rejectAll()],
      u: ['Take back the last rejection', () => open.restore()],
      b: ['Open the frame to draw next', () => this.#drawNext()],
    }, signal);
    tab.addEventListener('frame-opened', ({detail}) => this.#visit(detail.frame), {signal});
    tab.addEventListener('boxes-changed', () => { open.draw(); if (this.#summary?.state === 'waiting') this.#draw(); }, {signal});
    on('boxes', ({frame}) => { if (frame === tab.frame) this.#visit(frame); }, signal); // saved, so the server knows
    on('proposals', (said) => this.#follow(said), signal);
    on('reload', () => this.#load(), signal);
    this.#load();
  }

  #load() {
    return attempt(async () => {
      const said = await get('proposals', this.#signal);
      this.#rows.clear();
      this.#follow(said);
    });
  }

  #follow(said) {
    const round = this.#summary?.round;
    this.#summary = said;
    for (const [frame, ...row] of said.frames) this.#rows.set(frame, row);
    this.#draw();
    this.#tab.showHints(new Map([...this.#rows].filter(([, [likely]]) => likely).map(([frame, [likely]]) => [frame, likely])));
    const {frame} = this.#tab;
    if (frame !== null && (round !== said.round || said.frames.some(([own]) => own === frame))) this.#visit(frame);
  }

  #visit(frame) { attempt(() => this.#open.visit(frame)); }

  #show(on) {
    shown = on;
    this.#draw();
    this.#open.draw();
  }

  #acceptAll() {
    if (this.#open.acceptAll()) this.#drawNext(); // the next one that teaches most
  }

  /** The frame to draw next, or undefined if none is suggested. */
  get next() { return (this.#summary?.next ?? []).find((frame) => frame !== this.#tab.frame && this.#tab.isOpen(frame)); }

  #drawNext() {
    const {next} = this;
    if (next !== undefined) this.#tab.openFrame(next);
  }

  #draw() {
    const said = this.#summary;
    if (!said) return;
    this.#state.textContent = [SAYS[said.state](said, this.#tab.hasExemplars), said.detail].filter(Boolean).join(' ');
    this.#state.classList.toggle('failed', said.state === 'failed');
    this.#bar.hidden = !['learning', 'searching'].includes(said.state);
    this.#bar.value = said.progress;
    this.#toggle.setAttribute('aria-pressed', String(shown));
    this.#body.hidden = !shown || !said.round;
    this.#least.textContent = percent(threshold);
    this.#drawEstimate(said);
    const {next} = this;
    this.#next.hidden = next === undefined;
    this.#next.replaceChildren(`Draw next: frame ${next} `, el('kbd', {}, 'B'));
    this.#crops.replaceChildren(this.#looks('Surest', said.surest), this.#looks('Most doubtful', said.doubtful));
  }

  #drawEstimate({estimate, round, state, learned_from: from, learning_from: coming}) {
    this.#estimate.hidden = !round;
    if (!estimate) {
      this.#estimate.textContent = from >= 2 && state === 'ready' ? 'Not estimated: no class has boxes on two frames.'
        : Math.max(from, coming) >= 2 ? 'Precision and recall are estimated once more is learned.' : 'Draw a second frame: precision and recall can then be estimated.';
      return;
    }
    const {precision, recall, map50, too_few: few} = estimate;
    this.#estimate.replaceChildren(
      el('span', {title: 'Share of the proposals from 50 % on that are right, on drawn frames left out'}, `Precision ${precision ? range(precision) : 'unknown'}`), el('br'),
      el('span', {title: 'Share of the objects that are found, on drawn frames left out'}, `Recall ${range(recall)}`), el('br'),
      el('span', {class: 'minor', title: 'Mean average precision at IoU 0.5'}, `mAP50 ${range(map50)}`));
    if (few.length) this.#estimate.append(el('br'), `Draw more of ${few.join(', ')}.`);
  }

  #looks(title, crops) {
    if (!crops.length) return '';
    const row = el('div', {class: 'row'}, ...crops.map(({frame, xyxy, name, score}) => {
      const told = `Frame ${frame}: ${name}, ${percent(score)}`;
      return el('button', {type: 'button', title: told, 'aria-label': told, onclick: () => this.#tab.openFrame(frame)},
        el('img', {src: `api/frames/${frame}/crop?xyxy=${xyxy.join(',')}`, alt: '', width: 56, height: 56}), el('span', {}, percent(score)));
    }));
    return el('section', {'aria-label': title}, el('h3', {}, title), row);
  }

  #drawHere() {
    const {count, below, rejected} = this.#open;
    const none = below ? `None from ${percent(threshold)} on, ${below} below.` : 'None here.';
    this.#here.textContent = count ? `${count} here${below ? `, ${below} below ${percent(threshold)}` : ''}` : none;
    this.#actions.hidden = !count && !rejected;
    for (const [at, button] of [...this.#actions.children].entries()) button.disabled = at === 6 ? !rejected : !count;
  }
}

function action(text, key, onclick) { return el('button', {type: 'button', onclick}, `${text} `, el('kbd', {}, key.replace('Shift+', '\u21e7'))); }
