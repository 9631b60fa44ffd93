// Proposals of the open frame: the current one, accepted, rejected, taken back.

import {get, post} from '../lib/api.js';
import {attempt, notice} from '../lib/dom.js';
import {iou} from '../lib/geometry.js';

const SAME_IOU = 0.5;

export const percent = (share) => `${Math.round(100 * share)}\u2009%`;

export class OpenFrame {
  #tab;
  #threshold;
  #changed;
  #frame = null;
  #all = []; // {xyxy, name, score}, the surest first
  #current = null;
  #rejected = []; // {frame, boxes, saved} of this page, the last one at the end

  /**
   * @param {function(): number} threshold Least score that is shown.
   * @param {function(): void} changed Called after every change of what is shown.
   */
  constructor(tab, threshold, changed) {
    this.#tab = tab;
    this.#threshold = threshold;
    this.#changed = changed;
  }

  get count() { return this.#shown().length; }
  get below() { return this.#open().length - this.count; }
  get rejected() { return this.#rejected.length > 0; }

  /** Load the proposals of a frame. */
  async visit(frame) {
    if (frame !== this.#frame) this.#take(frame, []);
    if (frame === null) return;
    const {proposals} = await get(`frames/${frame}/proposals`);
    if (frame === this.#frame) this.#take(frame, proposals.filter((box) => !this.#isRejected(frame, box)));
  }

  /** True if this page rejected it: a reply may be older than that. */
  #isRejected(frame, {xyxy, name}) {
    return this.#rejected.some((last) => last.frame === frame && last.boxes.some((box) => box.name === name && iou(xyxy, box.xyxy) >= SAME_IOU));
  }

  /** Go to another proposal. */
  step(by) {
    const shown = this.#shown(), at = shown.indexOf(this.#current);
    if (shown.length) this.#current = shown[(at + by + shown.length) % shown.length];
    this.draw();
  }

  accept() {
    const {xyxy, name} = this.#current ?? {};
    if (!name) return;
    this.#advance();
    this.#tab.addBoxes([{xyxy, name}]);
  }

  /** Accept all that is shown, and complete the frame; true if there was any. */
  acceptAll() {
    const shown = this.#shown();
    if (shown.length) this.#tab.addBoxes(shown.map(({xyxy, name}) => ({xyxy, name})), {complete: true});
    return shown.length > 0;
  }

  reject() {
    if (!this.#current) return;
    const rejected = [this.#current];
    this.#advance();
    this.#reject(rejected);
  }

  rejectAll() { this.#reject(this.#shown()); }

  /** Take back the last rejection of this page. */
  restore() {
    const last = this.#rejected.pop();
    if (!last) return;
    attempt(async () => {
      const {frame, boxes, saved} = last;
      await saved;
      const {proposals} = await post(`frames/${frame}/proposals/restore`, {boxes});
      if (frame === this.#tab.frame) this.#take(frame, proposals); else await this.#tab.openFrame(frame);
    });
  }

  /** Show them on the frame. */
  draw() {
    const shown = this.#shown();
    if (!shown.includes(this.#current)) this.#current = shown[0] ?? null;
    this.#tab.proposed = shown.length > 0;
    this.#tab.setLayer('proposals', shown.map((box) => ({
      xyxy: box.xyxy, label: `${box.name} ${percent(box.score)}`, color: this.#tab.colorOf(box.name), dashed: true, selected: box === this.#current,
    })));
    this.#changed();
  }

  #take(frame, proposals) {
    const before = this.#current && this.#frame === frame ? this.#current : null;
    [this.#frame, this.#all] = [frame, proposals];
    this.#current = before && (proposals.find(({xyxy, name}) => name === before.name && iou(xyxy, before.xyxy) >= SAME_IOU) ?? null);
    this.draw();
  }

  /** Go on to the next one, in the order of their scores. */
  #advance() {
    const shown = this.#shown(), at = shown.indexOf(this.#current);
    this.#current = shown[at + 1] ?? shown[at - 1] ?? null;
  }

  #reject(boxes) {
    if (!boxes.length) return;
    const frame = this.#frame, sent = boxes.map(({xyxy, name}) => ({xyxy, name}));
    const saved = post(`frames/${frame}/proposals/reject`, {boxes: sent});
    const rejected = {frame, boxes: sent, saved};
    this.#rejected.push(rejected);
    this.#all = this.#all.filter((box) => !boxes.includes(box));
    this.draw();
    saved.catch((error) => {
      notice(error);
      this.#rejected = this.#rejected.filter((other) => other !== rejected);
      attempt(() => this.visit(this.#frame));
    });
  }

  /** Proposals that no drawn box covers: the server leaves them out too, once the box is saved. */
  #open() { return this.#all.filter(({xyxy}) => !this.#tab.boxes.some((drawn) => iou(xyxy, drawn.xyxy) >= SAME_IOU)); }

  #shown() {
    const least = this.#threshold();
    return this.#open().filter(({score}) => score >= least);
  }
}
