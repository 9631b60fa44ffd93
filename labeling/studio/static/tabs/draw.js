// Draw tab: grid of frames, and the frame that is being drawn on.

import {get} from '../lib/api.js';
import {attempt, el} from '../lib/dom.js';
import '../lib/frame-view.js';

class StudioDraw extends HTMLElement {
  #closed = new AbortController();

  async connectedCallback() {
    const view = el('frame-view', {tabindex: 0});
    this.append(view);
    this.style.display = 'grid';
    await attempt(async () => {
      await get('frames');
      await view.show('api/frames/0/image');
      const boxes = await get('frames/0/boxes');
      view.shapes = boxes.boxes.map(({xyxy, name, polygons}) => ({xyxy, polygons, label: name, color: '#3ecf7a'}));
      view.redraw();
    });
  }

  disconnectedCallback() { this.#closed.abort(); }
}

customElements.define('studio-draw', StudioDraw);
