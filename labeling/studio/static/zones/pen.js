// Pointer and crosshair on the frame: new polygons and lines, corners that are moved.

import {Crosshair} from '../lib/crosshair.js';
import {colorOf} from '../lib/dom.js';

const REACH = 9; // screen pixels around a corner in which it is meant

export class Pen {
  /** 'zone' or 'line' while one is being drawn, else null. */
  kind = null;
  #points = []; // corners so far, px of the image
  #at = null; // where the next corner would be
  #view;
  #places;
  #told;

  /** `told` is called when drawing begins or ends. */
  constructor(view, places, told, signal) {
    [this.#view, this.#places, this.#told] = [view, places, told];
    this.crosshair = new Crosshair(view, (at) => { this.#at = at; this.redraw(); });
    view.addEventListener('pointerdown', (event) => this.#down(event), {signal});
    view.addEventListener('pointermove', (event) => { if (this.kind) { this.#at = view.toImage(event); this.redraw(); } }, {signal});
    view.addEventListener('dblclick', () => this.finish(), {signal});
    places.addEventListener('changed', () => this.redraw(), {signal});
  }

  begin(kind) {
    [this.kind, this.#points, this.#at] = [kind, [], this.crosshair.at];
    this.#view.focus({preventScroll: true});
    this.#told();
    this.redraw();
  }

  cancel() {
    [this.kind, this.#points, this.crosshair.at] = [null, [], null];
    this.#told();
    this.redraw();
  }

  /** Take back the last corner, or stop drawing if there is none. */
  back() {
    if (!this.kind) return;
    if (this.#points.length) this.#points.pop(); else this.cancel();
    this.redraw();
  }

  /** Close the polygon. */
  finish() {
    if (this.kind === 'zone' && this.#points.length >= 3) this.#add();
  }

  /** Place a corner. */
  place(at) {
    if (!this.kind || !at) return;
    const first = this.#points[0];
    if (this.kind === 'zone' && first && this.#near(at, first)) { this.finish(); return; }
    if (this.#points.length && this.#near(at, this.#points.at(-1))) return; // the second click of a double click
    this.#points.push([...at]);
    if (this.kind === 'line' && this.#points.length === 2) this.#add(); else this.redraw();
  }

  redraw() {
    const {width, height} = this.#view;
    if (!width) return;
    const names = this.#places.list.map(({name}) => name);
    this.#view.shapes = this.#places.list.flatMap((place, number) => {
      const points = place.points.map(([x, y]) => [x * width, y * height]);
      const selected = number === this.#places.selected, color = this.#places.errors.has(number) ? '#ff7b70' : colorOf(names, place.name);
      const look = {color, selected, label: place.name};
      return [place.kind === 'zone' ? {polygons: [points.flat()], fill: selected ? 0.25 : 0.12, ...look} : {line: points, ...look},
        ...(place.kind === 'line' ? arrow(points, Math.min(width, height), color) : []), ...(selected ? [{points, radius: 6, color: '#ffffff'}] : [])];
    });
    if (this.kind) {
      const line = this.#at ? [...this.#points, this.#at] : [...this.#points];
      if (line.length) this.#view.shapes.push({line, color: '#ffffff', dashed: true}, {points: this.#points, color: '#ffffff'});
    }
    this.#view.shapes.push(...this.crosshair.shapes);
    this.#view.redraw();
  }

  #near([x1, y1], [x2, y2]) { return Math.hypot(x1 - x2, y1 - y2) * this.#view.scale <= REACH; }

  #add() {
    const {width, height} = this.#view, kind = this.kind, points = this.#points.map(([x, y]) => [x / width, y / height]);
    this.cancel();
    this.#places.add(kind, points);
  }

  #down(event) {
    if (event.button !== 0 || event.altKey || this.#view.panning || !this.#view.width) return;
    event.preventDefault();
    this.#view.focus({preventScroll: true});
    const at = this.#view.toImage(event);
    if (this.kind) { this.place(at); return; }
    const {width, height} = this.#view, {list, selected} = this.#places;
    const meant = (place) => place.points.findIndex(([x, y]) => this.#near(at, [x * width, y * height]));
    const order = [selected, ...list.keys()].filter((number) => list[number]);
    const number = order.find((one) => meant(list[one]) >= 0);
    if (number === undefined) { this.#places.select(list.findLastIndex(({kind, points}) => kind === 'zone' && inside([at[0] / width, at[1] / height], points))); return; }
    this.#places.select(number);
    this.#drag(event, number, meant(list[number]));
  }

  #drag(event, number, corner) {
    const view = this.#view, ended = new AbortController(), {signal} = ended, step = `drag ${performance.now()}`;
    view.setPointerCapture(event.pointerId);
    view.addEventListener('pointermove', (moving) => {
      const [x, y] = view.toImage(moving);
      const points = this.#places.list[number].points.with(corner, [x / view.width, y / view.height]);
      this.#places.set(number, {points}, step);
    }, {signal});
    for (const name of ['pointerup', 'pointercancel']) view.addEventListener(name, () => ended.abort(), {signal});
  }
}

/** Arrow at the middle of a line towards its right, the side of `in`. */
function arrow([[x1, y1], [x2, y2]], side, color) {
  const long = Math.hypot(x2 - x1, y2 - y1);
  if (!long) return [];
  const [ax, ay] = [(x2 - x1) / long, (y2 - y1) / long], [rx, ry] = [-ay, ax];
  const from = [(x1 + x2) / 2, (y1 + y2) / 2], reach = side * 0.09, head = side * 0.025;
  const tip = [from[0] + rx * reach, from[1] + ry * reach], out = [from[0] - rx * reach, from[1] - ry * reach];
  const barb = (way) => [tip[0] - rx * head + way * ax * head, tip[1] - ry * head + way * ay * head];
  const beyond = [tip[0] + rx * head, tip[1] + ry * head];
  return [{line: [from, tip], color}, {line: [barb(1), tip, barb(-1)], color}, {line: [beyond], color, label: 'in'}, {line: [out, from], color, dashed: true, label: 'out'}];
}

/** True if a point is inside a polygon (even-odd rule). */
function inside([x, y], corners) {
  let odd = false;
  corners.forEach(([x1, y1], number) => {
    const [x2, y2] = corners.at(number - 1);
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
  });
  return odd;
}
