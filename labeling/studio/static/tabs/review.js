// Review tab: the most doubtful labels first, look-alikes on one sheet, or one frame to correct by hand.

import {get, post} from '../lib/api.js';
import {attempt, el, notice, style, words} from '../lib/dom.js';
import {on} from '../lib/events.js';
import {bind} from '../lib/keys.js';
import '../review/frame-corrector.js';
import '../review/sheet.js';

class StudioReview extends HTMLElement {
  #closed = new AbortController();
  #review = null;
  #look = -1;
  #end = () => {}; // unbinds the keys of the last page
  #next = null; // promise of the look that is likely to be next

  connectedCallback() {
    style('review/review.css');
    const {signal} = this.#closed;
    on('review', (said) => this.#heard(said), signal);
    on('reload', () => this.#load(), signal);
    this.addEventListener('decide', ({detail}) => this.#decide(detail));
    this.addEventListener('undo', () => this.#undo());
    this.addEventListener('go', ({detail}) => this.#go(detail));
    this.addEventListener('correct', ({detail}) => this.#correct(detail));
    this.addEventListener('back', () => this.#back());
    this.#load();
  }

  disconnectedCallback() { this.#closed.abort(); this.#end(); }

  async #load() {
    const review = await attempt(() => get('review', this.#closed.signal));
    if (!review) return;
    this.#review = review;
    if (!review.dataset) { this.#say('No labels yet.', el('a', {href: '#label'}, 'Make some in the Label tab')); return; }
    if (review.done < review.total) { this.#wait(review.done, review.total); return; }
    if (review.problem) notice(review.problem);
    const [, place] = location.hash.slice(1).split('/');
    const wanted = /^\d+$/.test(place ?? '') ? Number(place) : -1;
    if (this.querySelector('review-frame')) return;
    this.#show(wanted >= 0 && wanted < review.open.length ? wanted : this.#following(-1));
  }

  #heard({done, total, looks, counts, problem}) {
    if (problem) notice(problem);
    if (counts && this.#review) { this.#review.counts = counts; this.#progress(); }
    if (looks !== undefined) this.#load();
    else if (total && this.#review?.dataset && !this.#review.open.length) this.#wait(done, total);
  }

  /** Number of the next look after `from` that has something open; -1 if there is none. */
  #following(from) {
    const {open} = this.#review;
    const after = open.findIndex((count, number) => number > from && count > 0);
    return after >= 0 ? after : open.findIndex((count) => count > 0);
  }

  async #show(number) {
    if (number < 0) { this.#finished(); return; }
    const look = await attempt(() => (this.#next?.number === number ? this.#next.look : get(`review/looks/${number}`, this.#closed.signal)));
    if (!look) return;
    this.#look = number;
    this.#next = null;
    history.replaceState(null, '', `#review/${number}`);
    this.#end();
    const sheet = document.createElement('review-sheet');
    Object.assign(sheet, {look, classes: this.#review.classes});
    this.replaceChildren(this.#header(), sheet);
    this.#progress();
    sheet.focus({preventScroll: true});
    const ahead = this.#following(number);
    if (ahead >= 0 && ahead !== number) this.#fetch(ahead);
  }

  /** Load a look and its crops before it is shown. */
  #fetch(number) {
    const look = get(`review/looks/${number}`, this.#closed.signal);
    this.#next = {number, look};
    look.then(({doubts, version}) => { for (const {id} of doubts) new Image().src = `api/review/crops/${id}?v=${version}`; }, () => { this.#next = null; });
  }

  #header() {
    const {command} = this.#review;
    return el('header', {},
      el('p', {class: 'counts', role: 'status'}),
      el('details', {}, el('summary', {}, 'Label again'), el('p', {}, 'Decisions hold in every later run:'), el('code', {class: 'command'}, ...words(command))));
  }

  #progress() {
    const {counts, open} = this.#review, line = this.querySelector('.counts');
    if (!line) return;
    const left = open.filter((count) => count).length;
    const figure = (value, text) => el('span', {}, el('b', {}, String(value)), ` ${text}`);
    const right = counts.frames_right;
    line.replaceChildren(...[
      figure(counts.decided, 'decided'), figure(counts.errors, counts.errors === 1 ? 'error found' : 'errors found'),
      figure(Math.round(counts.expected), 'expected left'), left ? figure(left, left === 1 ? 'sheet left' : 'sheets left') : '',
      right ? el('button', {onclick: () => this.#exemplars()}, right > 1 ? `Use ${right} right frames as exemplars` : 'Use 1 right frame as an exemplar') : '',
    ]);
  }

  async #decide({decisions, stay, then}) {
    const counts = await attempt(() => post('review/decisions', {decisions}));
    if (!counts) return;
    this.#review.counts = counts;
    this.#progress();
    then?.();
    if (stay) { this.#next = null; return; }
    this.#review.open[this.#look] = 0;
    await this.#show(this.#following(this.#look));
  }

  async #undo() {
    const undone = await attempt(() => post('review/undo'));
    if (!undone) return;
    if (!undone.frames.length) { notice('Nothing to undo.', {plain: true}); return; }
    const corrector = this.querySelector('review-frame');
    this.#next = null;
    const before = this.#review.open;
    const review = await attempt(() => get('review'));
    if (!review) return;
    this.#review = review;
    this.#progress();
    if (corrector) { corrector.load(); return; }
    const again = review.open.findIndex((count, number) => count > before[number]);
    await this.#show(again >= 0 ? again : this.#look < review.open.length ? this.#look : -1);
  }

  #go(by) {
    const {length} = this.#review.open;
    if (by < 0) { if (this.#look > 0) this.#show(this.#look - 1); return; }
    const next = this.#following(this.#look);
    if (next >= 0 && next !== this.#look) this.#show(next); else if (this.#look + 1 < length) this.#show(this.#look + 1);
  }

  /** From a frame to its sheet, or to the next one if nothing of it is open any more. */
  async #back() {
    const review = await attempt(() => get('review', this.#closed.signal));
    if (!review) return;
    this.#review = review;
    this.#next = null;
    await this.#show(review.open[this.#look] ? this.#look : this.#following(this.#look));
  }

  async #correct(doubt) {
    const corrector = document.createElement('review-frame');
    Object.assign(corrector, {number: doubt.frame, wanted: doubt.xyxy ? doubt : null, classes: this.#review.classes});
    this.replaceChildren(this.#header(), corrector);
    this.#progress();
  }

  async #exemplars() {
    const made = await attempt(() => post('review/exemplars'));
    if (!made) return;
    this.#review.counts.frames_right = 0;
    this.#progress();
    notice(`${made.frames} frame${made.frames === 1 ? ' is' : 's are'} in exemplars.json now; label again to learn from them.`, {plain: true});
  }

  #wait(done, total) {
    const shown = this.querySelector('.wait progress');
    if (shown) { Object.assign(shown, {max: total, value: done}); return; }
    const bar = el('progress', {max: total, value: done, 'aria-label': 'Arranging the queue'});
    this.replaceChildren(el('section', {class: 'wait', role: 'status'}, el('p', {}, 'Looking for labels that are alike'), bar));
  }

  #say(text, ...more) { this.replaceChildren(el('section', {class: 'wait'}, el('p', {}, text, ' ', ...more, '.'))); }

  #finished() {
    this.#end();
    history.replaceState(null, '', '#review');
    this.#look = this.#review.open.length;
    const again = el('section', {class: 'wait', role: 'status'},
      el('h2', {}, this.#review.open.length ? 'Everything doubtful is decided.' : 'Nothing is doubtful.'),
      el('p', {}, el('a', {href: '#train'}, 'Train a detector'), ', or ', el('a', {href: '#label'}, 'label again'), ': decisions hold.'),
      this.#review.counts.undoable ? el('button', {onclick: () => this.#undo()}, 'Undo ', el('kbd', {}, 'U')) : null);
    const over = new AbortController();
    bind({u: ['Undo', () => this.#undo()]}, over.signal);
    this.replaceChildren(this.#header(), again);
    this.#end = () => over.abort();
    this.#progress();
  }
}

customElements.define('studio-review', StudioReview);
