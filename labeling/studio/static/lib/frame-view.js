// <frame-view>: one image with zoom and pan, and shapes drawn over it. Coordinates are pixels of the image.

import {between, clamp} from './geometry.js';

const MAX_ZOOM = 40;

/** Black or white, for text on a color "#rrggbb". */
function inkOn(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return 0.3 * red + 0.59 * green + 0.11 * blue < 100 ? '#ffffff' : '#101214';
}

class FrameView extends HTMLElement {
  #canvas = document.createElement('canvas');
  #image = null;
  #scale = 1;
  #offset = [0, 0];
  #fitted = true;
  #pending = false;
  #shown = 0;

  /** Shapes: {xyxy, polygons, points (rings of `radius` screen pixels, if given), line, label, color, dashed, selected, fill}; the last is on top. */
  shapes = [];
  /** Size of the image, px; 0 before one is shown. */
  width = 0;
  height = 0;
  /** While true, the left button moves the image. */
  panning = false;

  connectedCallback() {
    this.append(this.#canvas);
    new ResizeObserver(() => { if (this.#fitted) this.fit(); else this.redraw(); }).observe(this);
    this.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.06 : 0.002)), this.#at(event));
    }, {passive: false});
    this.addEventListener('pointerdown', (event) => this.#pan(event));
  }

  /** Show an image; resolves with true once it is drawn, false if another one was asked for meanwhile. */
  async show(url) {
    const number = ++this.#shown;
    const image = new Image();
    image.src = url;
    try {
      await image.decode();
    } catch {
      if (number === this.#shown) this.clear();
      throw new Error('this frame cannot be read');
    }
    if (number !== this.#shown) return false;
    const same = image.naturalWidth === this.width && image.naturalHeight === this.height;
    this.#image = image;
    [this.width, this.height] = [image.naturalWidth, image.naturalHeight];
    if (!same || this.#fitted) this.fit(); else this.redraw();
    return true;
  }

  /** Show no image. */
  clear() {
    this.#shown++;
    this.#image = null;
    this.width = this.height = 0;
    this.redraw();
  }

  /** Show the whole image. */
  fit() {
    const {clientWidth, clientHeight} = this;
    this.#fitted = true;
    if (this.width) {
      this.#scale = Math.min(clientWidth / this.width, clientHeight / this.height);
      this.#offset = [(clientWidth - this.width * this.#scale) / 2, (clientHeight - this.height * this.#scale) / 2];
    }
    this.redraw();
  }

  /** Zoom by a factor around a place of the element, px (its middle by default). */
  zoom(factor, [x, y] = [this.clientWidth / 2, this.clientHeight / 2]) {
    const least = Math.min(this.clientWidth / this.width, this.clientHeight / this.height);
    const scale = Math.min(MAX_ZOOM, Math.max(least, this.#scale * factor));
    if (scale <= least) { this.fit(); return; }
    const by = scale / this.#scale;
    this.#fitted = false;
    this.#offset = [x - (x - this.#offset[0]) * by, y - (y - this.#offset[1]) * by];
    this.#scale = scale;
    this.redraw();
  }

  /** Move the image by so many pixels of the screen. */
  pan(dx, dy) {
    this.#fitted = false;
    this.#offset = [this.#offset[0] + dx, this.#offset[1] + dy];
    this.redraw();
  }

  /** Zoom so that a box fills a part of the view. */
  zoomTo([x1, y1, x2, y2], share = 0.4) {
    this.#fitted = false;
    this.#scale = Math.min(MAX_ZOOM, share * Math.min(this.clientWidth / (x2 - x1), this.clientHeight / (y2 - y1)));
    this.#offset = [this.clientWidth / 2 - this.#scale * (x1 + x2) / 2, this.clientHeight / 2 - this.#scale * (y1 + y2) / 2];
    this.redraw();
  }

  /** True unless the whole image is shown as large as fits. */
  get zoomed() { return !this.#fitted; }

  /** Screen pixels per pixel of the image. */
  get scale() { return this.#scale; }

  /** Zoom and place of the image, for another view that shows the same part; "drawn" tells when it changes. */
  get view() { return {scale: this.#scale, offset: [...this.#offset], fitted: this.#fitted}; }

  set view({scale, offset, fitted}) {
    if (scale === this.#scale && offset[0] === this.#offset[0] && offset[1] === this.#offset[1]) return;
    this.#fitted = fitted;
    [this.#scale, this.#offset] = [scale, [...offset]];
    this.redraw();
  }

  /** Place of a pointer event, [x, y] in pixels of the image; clamped to it unless `free`. */
  toImage(event, {free = false} = {}) {
    const [x, y] = this.#at(event);
    const at = [(x - this.#offset[0]) / this.#scale, (y - this.#offset[1]) / this.#scale];
    return free ? at : [clamp(at[0], 0, this.width), clamp(at[1], 0, this.height)];
  }

  /** Place of an image point on the page, [x, y] in CSS pixels of the viewport. */
  toPage([x, y]) {
    const {left, top} = this.getBoundingClientRect();
    return [left + this.#offset[0] + x * this.#scale, top + this.#offset[1] + y * this.#scale];
  }

  /** Box in the middle of the view, xyxy, whose sides are a share of those of the view; null if it has no area. */
  middle(share) {
    const {left, top, width, height} = this.getBoundingClientRect();
    const at = (part) => this.toImage({clientX: left + part * width, clientY: top + part * height});
    return between(at(0.5 - share / 2), at(0.5 + share / 2));
  }

  /** Draw again before the next picture of the screen. */
  redraw() {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => { this.#pending = false; this.#draw(); });
  }

  #at(event) {
    const {left, top} = this.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #pan(event) {
    if (event.button !== 1 && !(event.button === 0 && (event.altKey || this.panning))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.setPointerCapture(event.pointerId);
    let [x, y] = [event.clientX, event.clientY];
    const ended = new AbortController();
    this.addEventListener('pointermove', (moved) => {
      this.pan(moved.clientX - x, moved.clientY - y);
      [x, y] = [moved.clientX, moved.clientY];
    }, {signal: ended.signal});
    this.addEventListener('pointerup', () => ended.abort(), {signal: ended.signal});
  }

  #draw() {
    const ratio = window.devicePixelRatio, {clientWidth, clientHeight} = this;
    const [columns, rows] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.#canvas.width !== columns || this.#canvas.height !== rows) [this.#canvas.width, this.#canvas.height] = [columns, rows];
    const pen = this.#canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, clientWidth, clientHeight);
    if (!this.#image) return;
    pen.imageSmoothingEnabled = this.#scale < 4;
    pen.drawImage(this.#image, ...this.#offset, this.width * this.#scale, this.height * this.#scale);
    for (const shape of this.shapes) this.#drawShape(pen, shape);
    this.dispatchEvent(new CustomEvent('drawn'));
  }

  #drawShape(pen, {xyxy, polygons, points, radius, line, label, color, dashed, selected, fill}) {
    const at = ([x, y]) => [this.#offset[0] + x * this.#scale, this.#offset[1] + y * this.#scale];
    pen.strokeStyle = pen.fillStyle = color;
    pen.lineWidth = selected ? 3 : 1.5;
    pen.setLineDash(dashed ? [6, 4] : []);
    for (const flat of polygons ?? []) {
      pen.beginPath();
      for (let i = 0; i < flat.length; i += 2) pen.lineTo(...at([flat[i], flat[i + 1]]));
      pen.closePath();
      pen.globalAlpha = fill ?? 0.25;
      pen.fill('evenodd');
      pen.globalAlpha = 1;
      if (!xyxy) pen.stroke();
    }
    if (line) {
      pen.beginPath();
      for (const point of line) pen.lineTo(...at(point));
      pen.stroke();
    }
    for (const point of points ?? []) {
      pen.beginPath();
      pen.arc(...at(point), radius ?? 4, 0, 7);
      if (radius) pen.stroke(); else pen.fill();
    }
    const corner = xyxy ? [xyxy[0], xyxy[1]] : line?.[0] ?? points?.[0] ?? (polygons?.[0] && [polygons[0][0], polygons[0][1]]);
    if (xyxy) {
      const [x1, y1] = at([xyxy[0], xyxy[1]]), [x2, y2] = at([xyxy[2], xyxy[3]]);
      pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
      if (selected) {
        for (const [x, y] of [[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) pen.fillRect(x - 4, y - 4, 8, 8);
      }
    }
    if (label && corner) {
      const [x, y] = at(corner);
      pen.font = '600 12px system-ui, "Liberation Sans", sans-serif';
      const {width} = pen.measureText(label);
      const top = Math.max(0, y - 18);
      pen.fillRect(x - 1, top, width + 8, 17);
      pen.fillStyle = inkOn(color);
      pen.fillText(label, x + 3, top + 13);
    }
  }
}

customElements.define('frame-view', FrameView);
