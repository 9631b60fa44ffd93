// <job-panel verb="label">: command line, start / pause / go on, and the progress of one verb.

import {get, post} from '../lib/api.js';
import {attempt, el, style, words} from '../lib/dom.js';
import {every, on} from '../lib/events.js';
import {bind} from '../lib/keys.js';

const REFRESH_MS = 3000;
const WORDS = {
  idle: 'not started', running: 'running', pausing: 'ends after this step', paused: 'paused', done: 'done', failed: 'failed',
};

/** Seconds as "8 s", "3 min 5 s", "2 h 10 min". */
function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
}

class JobPanel extends HTMLElement {
  #closed = new AbortController();
  #settings = {};
  #job = null;
  #asked = 0;
  #command = el('code', {class: 'command', tabindex: 0, 'aria-label': 'Command line'});
  #start = el('button', {type: 'button', class: 'primary', onclick: () => this.#press()});
  #anew = el('button', {type: 'button', hidden: true, onclick: () => this.#begin(true)});
  #state = el('p', {class: 'state', role: 'status'});
  #error = el('p', {class: 'failure', hidden: true});
  #phases = el('div', {class: 'phases'});
  #aside = el('p', {class: 'faint', hidden: true});
  #log = el('pre', {tabindex: 0, 'aria-label': 'Output'});

  /** Words of the buttons, `anew` beside that which goes on; `aside` says what becomes of an earlier result. */
  words = {start: 'Start', again: 'Start again', aside: ''};
  /** Called with the job when it changed. */
  changed = () => {};
  /** Reason why it cannot start; empty if it can. */
  blocked = '';
  /** True if the same command goes on with an earlier result, which is set aside only on demand. */
  goesOn = false;

  get verb() { return this.getAttribute('verb'); }
  get job() { return this.#job; }

  async connectedCallback() {
    style('jobs/jobs.css');
    this.append(
      this.#command, el('div', {class: 'row'}, this.#start, this.#anew, this.#state), this.#aside, this.#error, this.#phases,
      el('details', {}, el('summary', {}, 'Output'), this.#log),
    );
    on('job', (job) => {
      if (job.verb === this.verb) this.#happened(job);
      if (job.status === 'done') this.setSettings(this.#settings); // a command line may depend on its result
    }, this.#closed.signal);
    on('reload', () => this.load(), this.#closed.signal);
    if (!this.hasAttribute('restarts')) bind({p: [`Start, pause or go on: ${this.verb}`, () => this.#key()]}, this.#closed.signal);
    every(REFRESH_MS, () => { if (this.#job) this.load(); }, this.#closed.signal); // a terminal may work on it
    await this.load();
  }

  disconnectedCallback() { this.#closed.abort(); }

  /** Load the state of the verb. */
  async load() {
    await attempt(async () => {
      this.#job = await get(`jobs/${this.verb}`, this.#closed.signal);
      this.#show();
    });
  }

  /** Options of the verb; the command line follows them. */
  async setSettings(settings) {
    this.#settings = settings;
    const asked = ++this.#asked;
    await attempt(async () => {
      const {command} = await post(`jobs/${this.verb}/command`, settings);
      if (asked === this.#asked) this.#command.replaceChildren(...words(command));
    });
  }

  refresh() { this.#show(); }

  #happened(job) {
    const ended = job.status !== this.#job?.status;
    this.#job = {...this.#job, ...job};
    this.#show();
    if (ended) this.load();
  }

  /** A key never sets a result aside: that takes the button. */
  #key() {
    if (!this.#start.disabled && (this.#job?.status !== 'done' || !this.#job.exists)) this.#press();
  }

  #press() {
    const {status, exists} = this.#job;
    if (status === 'running') attempt(async () => { this.#job = await post(`jobs/${this.verb}/pause`); this.#show(); });
    else this.#begin(exists && !this.goesOn && status !== 'paused');
  }

  #begin(anew) {
    attempt(async () => {
      this.#job = await post(`jobs/${this.verb}/start`, {settings: this.#settings, anew});
      this.#show();
    });
  }

  #show() {
    const job = this.#job;
    if (!job) return;
    const {status, elsewhere} = job;
    const again = job.exists && status !== 'paused';
    const pause = this.hasAttribute('restarts') ? 'Stop' : 'Pause';
    this.#start.textContent = {running: pause, pausing: 'Ending', paused: 'Go on'}[status] ?? (again ? this.words.again : this.words.start);
    this.#aside.hidden = !again || !this.words.aside || status === 'running' || status === 'pausing';
    this.#aside.textContent = this.words.aside;
    this.#start.disabled = status === 'pausing' || elsewhere || (status !== 'running' && Boolean(this.blocked));
    this.#start.classList.toggle('primary', status !== 'done' || !again);
    const resumes = this.goesOn && job.exists && !['running', 'pausing'].includes(status);
    this.#anew.hidden = !((resumes && this.verb !== 'export') || (job.unfinished && ['paused', 'failed'].includes(status))) || elsewhere;
    this.#anew.textContent = this.words.anew ?? 'Start anew';
    this.#anew.title = 'What is there is renamed, not deleted';
    const killed = job.kill_in_s === null || job.kill_in_s > 90 ? '' : `; killed in ${job.kill_in_s} s if it does not end`;
    const time = (job.seconds && status !== 'idle' ? `, ${duration(job.seconds)}` : '') + (status === 'paused' ? '; what is done is kept' : '');
    this.#state.textContent = elsewhere ? 'another process, such as a terminal, is doing this now'
      : status === 'idle' && this.blocked ? this.blocked : WORDS[status] + time + killed;
    this.#error.hidden = status !== 'failed';
    this.#error.textContent = status === 'failed' ? `${job.message ?? ''} (exit code ${job.exit_code})` : '';
    this.#phases.replaceChildren(...(elsewhere || status === 'done' ? [] : job.phases).map((phase, number, all) => this.#phase(phase, number === all.length - 1)));
    const bottom = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 8;
    if (job.log !== undefined && this.#log.textContent !== job.log) this.#log.textContent = job.log;
    if (bottom) this.#log.scrollTop = this.#log.scrollHeight;
    this.changed(job);
  }

  #phase({description, done, total, rate}, present) {
    const running = present && this.#job.status === 'running';
    const steps = ['Learning', 'Training'].includes(description);
    if (!present && total) done = total; // a phase that ends early is over, too
    const figures = [
      steps && total ? `${Math.floor(100 * done / total)} %` : total ? `${done} of ${total}` : `${done}`,
      rate && !steps ? `${rate >= 10 ? rate.toFixed(0) : rate.toFixed(1)}/s` : null,
      running && rate && total > done ? `${duration((total - done) / rate)} left` : null,
    ];
    return el('div', {class: 'phase'},
      el('span', {}, description),
      el('progress', {max: total || 1, value: total ? done : null, 'aria-label': description}),
      el('span', {class: 'figures'}, figures.filter(Boolean).join(' · ')));
  }
}

customElements.define('job-panel', JobPanel);
