// Train tab: the training and its curves, the export and its report; and teaching, which does all of it by itself.

import {get} from '../lib/api.js';
import {attempt, counted, el, style} from '../lib/dom.js';
import {every, on} from '../lib/events.js';
import '../jobs/job-panel.js';
import {optionsForm} from '../jobs/options.js';
import {chart, epochsTable} from '../train/curves.js';
import {exportReport} from '../train/report.js';
import {teachingCourse} from '../train/teaching.js';

const RUNTIMES = {
  cpu: 'CPU', openvino: 'OpenVINO', tensorrt: 'TensorRT', coreml: 'Core ML', qnn: 'QNN', ncnn: 'ncnn: Raspberry Pi', litert: 'LiteRT', rknn: 'RKNN: Rockchip', hailo: 'Hailo',
};
const CHIPS = ['rk3588', 'rk3576', 'rk3568', 'rk3566', 'rk3562', 'hailo8', 'hailo8l', 'hailo10h', 'hailo15h', 'hailo15l'];
const OPTIONS = {
  train: [
    {name: 'task', label: 'Finds', kind: 'choice', choices: [[null, 'as labeled'], ['detect', 'boxes'], ['segment', 'boxes and masks']], hint: 'Masks need labels that are polygons'},
    {name: 'time_limit_s', label: 'Minutes at most', kind: 'number', min: 0.1, step: 'any', scale: 60, placeholder: 'no limit', hint: 'The learning rate falls to its end by then'},
    {name: 'epochs', label: 'Epochs', kind: 'number', min: 1, step: 1, placeholder: '30', hint: 'Passes over the training images; for up to 20 images 150 steps by default'},
    {name: 'imgsz', label: 'Image side, px', kind: 'number', min: 32, max: 8192, step: 32, placeholder: 'automatic', hint: 'Higher values find smaller objects and take longer'},
    {name: 'batch', label: 'Images per step', kind: 'number', min: 1, step: 1, placeholder: '8', advanced: true},
    {name: 'seed', label: 'Random seed', kind: 'number', min: 0, step: 1, placeholder: '0', zero: 0, advanced: true},
    {name: 'device', label: 'Device', kind: 'choice', choices: [['auto', 'automatic'], ['cpu', 'CPU'], ['cuda', 'CUDA']], advanced: true},
  ],
  export: [
    {name: 'target', label: 'Runtime', kind: 'choice', choices: [[null, 'any (ONNX)']], hint: 'Those whose tools are installed; docs/targets.md says which one is for which device'},
    {name: 'precision', label: 'Precision', kind: 'choice', choices: [[null, 'default'], ['auto', 'auto: fastest'], ['fp32', 'fp32'], ['fp16', 'fp16'], ['int8', 'int8']], hint: 'The default is that of the runtime: fp32, of ncnn and RKNN fp16'},
    {name: 'tolerance_map', label: 'Loss of mAP50-95 at most', kind: 'number', min: 0, max: 1, step: 0.005, placeholder: '0.01', advanced: true},
    {name: 'tolerance_boxes', label: 'Share of boxes lost at most', kind: 'number', min: 0, max: 1, step: 0.005, placeholder: '0.01', advanced: true},
    {name: 'chip', label: 'Chip', kind: 'choice', choices: [[null, 'the first one'], ...CHIPS.map((name) => [name, name])], hint: 'Of RKNN and Hailo', advanced: true},
    {name: 'imgsz', label: 'Input side, px', kind: 'number', min: 32, max: 8192, step: 32, placeholder: 'as trained', advanced: true},
  ],
  teach: [
    {name: 'task', label: 'Finds', kind: 'choice', choices: [[null, 'automatic'], ['detect', 'boxes'], ['segment', 'boxes and masks']], hint: 'Automatic is as the loop, or boxes if it is new; the teacher answers with boxes'},
    {name: 'source', label: 'Camera or footage', kind: 'text', placeholder: 'the frames of this project', hint: '0, a file, a folder, rtsp://, http:// or synth:conveyor'},
    {name: 'count', label: 'Frames to keep', kind: 'number', min: 10, max: 2000, step: 1, placeholder: '120', hint: 'Higher values teach the detector more and take longer'},
    {name: 'epochs', label: 'Epochs', kind: 'number', min: 1, step: 1, placeholder: '15', advanced: true},
    {name: 'seed', label: 'Random seed', kind: 'number', min: 0, step: 1, placeholder: '0', zero: 0, advanced: true},
  ],
};
const TITLES = {train: 'Train', export: 'Export', teach: 'Teach'};
const REFRESH_MS = 2000;

/** Options of the export, with the runtimes whose tools are installed. */
function withRuntimes(names) {
  const [target, ...others] = OPTIONS.export;
  return [{...target, choices: [...target.choices, ...[...names].map((name) => [name, RUNTIMES[name]])]}, ...others];
}

class StudioTrain extends HTMLElement {
  #closed = new AbortController();
  #panels = {train: el('job-panel', {verb: 'train'}), export: el('job-panel', {verb: 'export', restarts: true}), teach: el('job-panel', {verb: 'teach', restarts: true})};
  #curves = el('section');
  #report = el('section');
  #teaching = el('section');

  async connectedCallback() {
    style('train/train.css');
    this.#panels.train.words = {start: 'Train', again: 'Train again', aside: 'Training again renames the present run to run.1, 2, …'};
    this.#panels.export.goesOn = this.#panels.teach.goesOn = true;
    this.#panels.export.words = {start: 'Export', again: 'Export again', aside: ''};
    this.#panels.teach.words = {start: 'Teach', again: 'Go on', aside: 'Starting anew renames the present loop to loop.1, 2, …'};
    const options = {train: el('div'), export: el('div'), teach: el('div')};
    this.append(el('div', {class: 'job-tab'},
      el('aside', {}, ...Object.entries(this.#panels).map(([verb, panel]) => el('section', {}, el('h2', {}, TITLES[verb]), options[verb], panel))),
      el('section', {}, this.#curves, this.#report, this.#teaching)));
    on('job', ({verb, status}) => { if (verb !== 'label' && status !== 'running') this.#load(); }, this.#closed.signal);
    every(REFRESH_MS, () => {
      if (['train', 'teach'].some((verb) => this.#panels[verb].job?.status === 'running' || this.#panels[verb].job?.elsewhere)) this.#load();
    }, this.#closed.signal);
    await attempt(async () => {
      for (const [verb, panel] of Object.entries(this.#panels)) {
        const {settings} = await get(`jobs/${verb}`);
        const shown = verb === 'export' ? withRuntimes(new Set([...(await get('export')).targets, settings.target].filter(Boolean))) : OPTIONS[verb];
        options[verb].append(optionsForm(shown, settings, (changed) => panel.setSettings(changed)));
        panel.setSettings(settings);
      }
      await this.#load();
    });
  }

  disconnectedCallback() { this.#closed.abort(); }

  async #load() {
    await attempt(async () => {
      const [training, exported, teaching] = await Promise.all(['training', 'export', 'teaching'].map((what) => get(what, this.#closed.signal)));
      this.#block('teach', teaching.drawn ? '' : 'draw first: there are no boxes');
      this.#teaching.replaceChildren(...teachingCourse(teaching));
      this.#block('train', training.dataset ? '' : 'label first: there is no dataset');
      this.#block('export', exported.run ? '' : 'train first: there is no run');
      this.#showCurves(training);
      const {reports} = exported;
      this.#report.replaceChildren(...(reports.length ? [el('h2', {}, 'Export'), ...reports.map(({report, worst}) => exportReport(report, worst))] : []));
    });
  }

  #block(verb, reason) {
    const panel = this.#panels[verb];
    if (panel.blocked !== reason) { panel.blocked = reason; panel.refresh(); }
  }

  #showCurves({epochs, record, dataset}) {
    if (!epochs.length) {
      this.#curves.replaceChildren(el('h2', {}, 'Training'), dataset ? el('p', {class: 'faint'}, 'Curves appear with the first epoch.')
        : el('p', {class: 'faint'}, 'There is no dataset yet. ', el('a', {href: '#label'}, 'Label'), ' the frames first.'));
      return;
    }
    const names = Object.keys(epochs[0].loss);
    const losses = Object.fromEntries(names.map((name) => [name.replace(/_loss$/, ''), epochs.map(({seconds, loss}) => [seconds, loss[name] ?? 0])]));
    const validated = epochs.filter(({map50}) => map50 !== null);
    const scores = {mAP50: validated.map(({seconds, map50}) => [seconds, map50]), 'mAP50-95': validated.map(({seconds, map50_95}) => [seconds, map50_95])};
    const open = this.#curves.querySelector('details')?.open;
    const said = record ? `${record.model}, ${record.imgsz} px, ${counted(record.images, 'image')}, ${counted(epochs.length, 'epoch')} in ${Math.round(record.seconds)} s` : `${counted(epochs.length, 'epoch')} so far`;
    this.#curves.replaceChildren(
      el('h2', {}, 'Training'), el('p', {class: 'faint'}, said),
      el('div', {class: 'charts'}, chart('Loss', losses), chart('Validation', scores, {high: 1})), epochsTable(epochs));
    if (open) this.#curves.querySelector('details').open = true;
  }
}

customElements.define('studio-train', StudioTrain);
