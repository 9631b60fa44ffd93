// Saving of frames: at once, in order, one request at a time per frame, and again until the server has it.

import {put} from '../lib/api.js';

const DEBOUNCE_MS = 100;
const RETRY_MS = 1000;

/**
 * Events: `state` (see `state`), `conflict` ({frame, current}) if another page was faster,
 * `refused` ({frame, message}) if the server does not take it.
 */
export class Saver extends EventTarget {
  #jobs = new Map(); // frame: {base, wanted, timer, sending, failed}

  /** Revision that the next change of a frame is based on. */
  setBase(frame, base) { this.#job(frame).base = base; }

  baseOf(frame) { return this.#jobs.get(frame)?.base ?? null; }

  /** True while a change of the frame is not at the server. */
  pending(frame) {
    const job = this.#jobs.get(frame);
    return Boolean(job && (job.wanted || job.sending));
  }

  /** 'saved', 'saving', 'waiting' (for the server), or 'refused'. */
  get state() {
    const jobs = [...this.#jobs.values()].filter((job) => job.wanted || job.sending);
    if (!jobs.length) return 'saved';
    return jobs.find((job) => job.failed)?.failed ?? 'saving';
  }

  save(frame, {boxes, complete}) {
    const job = this.#job(frame);
    job.wanted = {boxes: boxes.map(({xyxy, name, polygons}) => ({xyxy, name, polygons})), complete};
    if (job.failed === 'refused') job.failed = null;
    if (!job.timer) job.timer = setTimeout(() => this.#send(frame, job), DEBOUNCE_MS);
    this.#tell();
  }

  /** Send now whatever waits; resolves when nothing is under way any more. */
  async flush() {
    await Promise.all([...this.#jobs].map(([frame, job]) => this.#send(frame, job)));
  }

  #job(frame) {
    if (!this.#jobs.has(frame)) this.#jobs.set(frame, {base: null, wanted: null, timer: 0, sending: null, failed: null});
    return this.#jobs.get(frame);
  }

  #send(frame, job) {
    clearTimeout(job.timer);
    job.timer = 0;
    if (job.sending || !job.wanted) return job.sending;
    job.sending = this.#put(frame, job).finally(() => {
      job.sending = null;
      if (job.wanted && job.failed === 'waiting') job.timer = setTimeout(() => this.#send(frame, job), RETRY_MS);
      else if (job.wanted && !job.failed) return this.#send(frame, job);
      this.#tell();
      return undefined;
    });
    return job.sending;
  }

  async #put(frame, job) {
    const mine = job.wanted;
    job.wanted = null;
    try {
      job.base = (await put(`frames/${frame}/boxes`, {...mine, base: job.base})).base;
      job.failed = null;
    } catch (error) {
      if (error.status === 409) {
        job.wanted = null; // what was drawn meanwhile is in the history of the frame
        job.failed = null;
        job.base = error.body.current.base;
        this.dispatchEvent(new CustomEvent('conflict', {detail: {frame, current: error.body.current}}));
        return;
      }
      job.wanted ??= mine;
      const away = [0, 404].includes(error.status) || error.status >= 500; // 404: the server began anew under another key
      if (!away && job.failed !== 'refused') this.dispatchEvent(new CustomEvent('refused', {detail: {frame, message: error.message}}));
      job.failed = away ? 'waiting' : 'refused';
      this.#tell();
    }
  }

  #tell() { this.dispatchEvent(new Event('state')); }
}
