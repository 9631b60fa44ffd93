// Loading of thumbnails: a few at a time, those in sight only.

const AT_ONCE = 3; // a browser opens six connections; drawing needs the others

/** Thumbnails for the visible cells of a grid. */
export class Thumbnails {
  #waiting = new Map(); // frame: done(blob | null)
  #running = new Map(); // frame: AbortController

  /** Ask for a thumbnail; `done` gets its blob, or null if the frame cannot be read. */
  ask(frame, done) {
    this.#waiting.set(frame, done);
    queueMicrotask(() => this.#next());
  }

  /** The frame is out of sight. */
  drop(frame) {
    this.#waiting.delete(frame);
    this.#running.get(frame)?.abort();
  }

  async #next() {
    if (this.#running.size >= AT_ONCE || !this.#waiting.size) return;
    const [frame, done] = this.#waiting.entries().next().value;
    this.#waiting.delete(frame);
    const gone = new AbortController();
    this.#running.set(frame, gone);
    try {
      const reply = await fetch(`api/frames/${frame}/thumbnail`, {signal: gone.signal});
      if (reply.status === 204) done(null);
      else if (reply.ok) done(await reply.blob());
    } catch {
      // dropped, or the server is away; scrolling asks again
    } finally {
      if (this.#running.get(frame) === gone) this.#running.delete(frame);
      this.#next();
    }
  }
}
