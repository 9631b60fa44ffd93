// Audit tab: precision and recall of the dataset's labels, from a person's answers about a random sample.

import {get, post} from '../lib/api.js';
import {attempt, el, style, words} from '../lib/dom.js';
import {on} from '../lib/events.js';
import '../audit/questions.js';

class StudioAudit extends HTMLElement {
  #closed = new AbortController();
  #shown = ''; // sample whose questions are open
  #finished = ''; // sample whose figures are open

  connectedCallback() {
    style('audit/audit.css');
    on('reload', () => this.#load(), this.#closed.signal);
    on('audit', () => this.#load(), this.#closed.signal);
    this.#load();
  }

  disconnectedCallback() { this.#closed.abort(); }

  async #load() {
    const audit = await attempt(() => get('audit', this.#closed.signal));
    if (!audit || this.dataset.ended) return;
    const sample = audit.choice && JSON.stringify([audit.choice, audit.boxes]);
    const open = this.querySelector('audit-questions');
    if (open && sample && sample === this.#shown) { open.answers = audit.answers; return; }
    if (sample && sample === this.#finished) return; // the event of the last answer came after its reply
    this.#shown = sample;
    if (sample) this.#ask(audit); else this.#offer(audit);
  }

  #ask(audit) {
    this.#finished = '';
    const questions = document.createElement('audit-questions');
    questions.audit = audit;
    questions.addEventListener('finished', ({detail}) => this.#finish(audit, detail));
    questions.addEventListener('anew', () => this.#offer(audit));
    this.replaceChildren(questions);
  }

  #offer({dataset, problem, choice, fixed}) {
    const sample = this.#shown;
    this.#shown = this.#finished = '';
    const number = (label, name, value, most) => el('label', {}, label, el('input', {type: 'number', name, value, min: name === 'seed' ? 0 : 1, max: most, required: true}));
    const form = el('form', {onsubmit: (event) => this.#start(event)},
      number('Boxes, for precision', 'boxes', choice?.boxes ?? 100, 2000),
      number('Frames, for recall', 'frames', choice?.frames ?? 20, 500),
      number('Random seed', 'seed', choice ? choice.seed + 1 : 0, 2 ** 31),
      el('button', {class: 'primary'}, 'Draw a sample'), sample && el('button', {type: 'button', onclick: () => this.#load()}, 'Go on with the present one'));
    const none = problem && !problem.includes('audit.json');
    if (none && !fixed) {
      this.replaceChildren(el('p', {class: 'none'}, ...(problem.includes('no dataset') ? ['No labels yet. ', el('a', {href: '#label'}, 'Make some in the Label tab'), '.'] : [problem])));
      return;
    }
    this.replaceChildren(el('section', {class: 'sheet'},
      el('h2', {}, 'Audit'),
      el('p', {}, problem ?? 'How good are the labels that nobody drew? Accept or reject a random sample of boxes, then mark what was missed on a few frames. About ten minutes.'),
      none || fixed ? null : form,
      sample || (problem && !none) ? el('p', {class: 'faint'}, 'A new sample keeps the earlier answers in audit-1.json.') : null,
      none ? null : el('code', {class: 'command'}, ...words(`edgeloop audit ${dataset}`))));
  }

  async #start(event) {
    event.preventDefault();
    const choice = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, Number(value)]));
    const audit = await attempt(() => post('audit/start', choice));
    if (!audit) return;
    this.#shown = JSON.stringify([audit.choice, audit.boxes]);
    this.#ask(audit);
  }

  #finish(audit, figures) {
    if (audit.fixed) this.dataset.ended = 'yes';
    const more = audit.fixed
      ? el('p', {class: 'faint'}, 'The command has ended and printed these figures. Close this page; the same command goes on, or shows them again.')
      : el('p', {}, figures.complete ? null : el('button', {class: 'primary', onclick: () => this.#ask(audit)}, 'Go on'), ' ',
        el('button', {onclick: () => this.#offer(audit)}, 'Draw another sample'));
    [this.#shown, this.#finished] = ['', this.#shown];
    this.replaceChildren(el('section', {class: 'sheet'},
      el('h2', {tabindex: -1}, 'The answers are saved in audit.json'), el('pre', {tabindex: 0}, figures.lines.join('\n')), more,
      el('code', {class: 'command'}, ...words(audit.command))));
    this.querySelector('h2').focus();
  }
}

customElements.define('studio-audit', StudioAudit);
