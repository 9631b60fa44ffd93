// Report of an export: accepted or refused, precisions, classes, worst frames.

import {el} from '../lib/dom.js';

const share = (value) => (value === null || value === undefined ? '' : `${(100 * value).toFixed(1)} %`);
const milliseconds = (value) => value?.toFixed(1) || '';
const map = (value) => (value === null || value === undefined ? '' : value.toFixed(3));

function table(caption, header, rows) {
  return el('table', {}, el('caption', {}, caption),
    el('thead', {}, el('tr', {}, ...header.map((name) => el('th', {scope: 'col'}, name)))),
    el('tbody', {}, ...rows.map(([first, ...rest]) => el('tr', {}, el('td', {}, first), ...rest.map((text) => el('td', {}, text))))));
}

/**
 * Build the report.
 * @param {object} report Content of detector.json or detector.refused.json.
 * @param {string|null} worst Version of the picture of the worst frames.
 */
export function exportReport(report, worst) {
  const {bundle} = report;
  const refused = report.refused.length > 0;
  const head = refused
    ? el('div', {class: 'verdict refused'}, el('b', {}, `Refused: ${bundle} was not written`), el('ul', {}, ...report.refused.map((reason) => el('li', {}, reason))))
    : el('div', {class: 'verdict'}, el('b', {}, `${bundle} repeats what was trained`),
      el('span', {class: 'faint'}, `${report.precision}, ${report.input_size.join('x')} px, ${(report.bytes / 1e6).toFixed(1)} MB. `, bundle.endsWith('.onnx') ? el('a', {href: '#try'}, 'Try it') : null),
      report.next_step ? el('span', {class: 'faint'}, 'On the device: ', el('code', {}, report.next_step)) : null);
  const precisions = report.precisions.map((one) => [
    one.precision, milliseconds(one.latency_ms), (one.bytes / 1e6).toFixed(1), map(one.map50_95), `${one.parity.repeated} of ${one.parity.boxes}`,
    one.parity.confidence_drift?.toFixed(3) ?? '', one.refused.length ? 'refused' : one.precision === report.precision && !refused ? 'this bundle' : 'passes',
  ]);
  const classes = Object.entries(report.per_class).map(([name, one]) => {
    const parity = report.parity_per_class[name];
    return [name, String(one.truths), map(one.map50), map(one.map50_95), map(report.torch.per_class[name]?.map50_95), parity ? `${parity.repeated} of ${parity.boxes}` : ''];
  });
  return el('div', {class: 'report'}, head,
    el('div', {class: 'tiles'}, ...[
      ['mAP50', map(report.map50)], ['mAP50-95', map(report.map50_95)], ['of torch\'s boxes repeated', share(report.parity.matched)], ['ms per frame here', milliseconds(report.latency_ms)],
    ].map(([name, value]) => el('div', {class: 'tile'}, el('b', {}, value), el('span', {}, name)))),
    table('Precisions', ['Precision', 'ms', 'MB', 'mAP50-95', 'Boxes repeated', 'Score drift', 'Result'], [['torch', '', '', map(report.torch.map50_95), '', '', 'what was trained'], ...precisions]),
    table(`Classes on ${report.parity.frames} held-out frames`, ['Class', 'Objects', 'mAP50', 'mAP50-95', 'torch', 'Boxes repeated'], classes),
    worst ? el('figure', {}, el('figcaption', {}, el('b', {}, 'Frames that differ most'), el('span', {class: 'faint'}, ' torch on the left, the bundle on the right')),
      el('img', {src: `api/export/worst?bundle=${encodeURIComponent(bundle)}&v=${worst}`, alt: 'Frames on which torch, left, and the bundle, right, differ most'})) : '');
}
