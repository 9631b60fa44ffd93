// <live-view>: the bundle on a clip or camera.

import {get, post} from '../lib/api.js';
import {attempt, counted, el} from '../lib/dom.js';
import {on} from '../lib/events.js';

class LiveView extends HTMLElement {
  #closed = new AbortController();
  #file = '';
  #heard = 0; // events
  #source = el('input', {type: 'text', name: 'source', required: true, spellcheck: 'false', autocomplete: 'off', placeholder: '0, clip.mp4, rtsp://…, synth:conveyor?fps=30'});
  #confidence = el('input', {type: 'number', min: 0, max: 1, step: 0.05, value: 0.25});
  #start = el('button', {class: 'primary'}, 'Start');
  #stop = el('button', {type: 'button', disabled: true, onclick: () => this.#end()}, 'Stop');
  #state = el('p', {class: 'faint', role: 'status'});
  #error = el('p', {class: 'failure', hidden: true});
  #command = el('code', {class: 'command', tabindex: 0, 'aria-label': 'Command line'});
  #video = el('img', {alt: 'Live picture with the detector\'s boxes', hidden: true});

  async connectedCallback() {
    this.append(
      el('form', {class: 'bar', onsubmit: (event) => { event.preventDefault(); this.#begin(); }},
        el('label', {class: 'source'}, 'Source', this.#source), el('label', {}, 'Minimum score', this.#confidence), this.#start, this.#stop, this.#state),
      this.#command, this.#error, this.#video);
    on('preview', (status) => { this.#heard++; this.#show(status); }, this.#closed.signal);
    await attempt(async () => this.#show(await get('try/preview', this.#closed.signal)));
  }

  disconnectedCallback() {
    this.#closed.abort();
    this.#video.src = '';
  }

  /** Path of the bundle, for the command line. */
  set file(path) {
    this.#file = path;
    this.#command.textContent = `edgeloop run ${path} SOURCE`;
  }

  #begin() {
    attempt(async () => {
      const before = this.#heard;
      const status = await post('try/preview/start', {source: this.#source.value, confidence: Number(this.#confidence.value)});
      this.#command.textContent = status.command;
      this.#video.src = `api/try/preview/video?${Date.now()}`;
      if (this.#heard === before) this.#show(status); // else the events told more already
    });
  }

  #end() { attempt(async () => this.#show(await post('try/preview/stop'))); }

  #show({status, source, fps, frames, dropped, error}) {
    const open = ['opening', 'running'].includes(status);
    if (open && !this.#video.src.includes('video?')) this.#video.src = `api/try/preview/video?${Date.now()}`;
    this.#stop.disabled = !open;
    this.#video.hidden = !frames || status === 'idle';
    this.#error.hidden = status !== 'failed';
    this.#error.textContent = error ?? '';
    this.#state.textContent = {
      idle: '', opening: `opening ${source}`, running: `${fps.toFixed(1)} frames/s, ${frames} frames${dropped ? `, ${dropped} dropped` : ''}`,
      ended: `ended after ${counted(frames, 'frame')}`, failed: 'failed',
    }[status];
  }
}

customElements.define('live-view', LiveView);
