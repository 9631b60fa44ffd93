// Form of options: labeled fields that give one settings object.

import {el} from '../lib/dom.js';

/**
 * @typedef {{name: string, label: string, kind: 'number'|'choice'|'check'|'text', hint?: string, advanced?: boolean,
 *   min?: number, max?: number, step?: number, placeholder?: string, choices?: Array<[string|null, string]>, scale?: number}} Option
 */

/**
 * Build the fields.
 * @param {Option[]} options `scale` is the factor from the field to the setting (60: minutes to seconds).
 * @param {object} settings Values to begin with.
 * @param {function(object): void} changed Called with all settings after each change.
 */
export function optionsForm(options, settings, changed) {
  const values = {...settings};
  const fields = options.map((option) => {
    const input = field(option, values[option.name]);
    input.addEventListener('input', () => {
      if (!input.checkValidity()) { input.reportValidity(); return; }
      values[option.name] = read(option, input);
      changed({...values});
    });
    const text = option.kind === 'check' ? [input, ' ', option.label] : [el('span', {}, option.label), input];
    return [option, el('label', {class: option.kind, title: option.hint}, ...text)];
  });
  const [plain, advanced] = [false, true].map((is) => fields.filter(([option]) => Boolean(option.advanced) === is).map(([, made]) => made));
  return el('form', {class: 'options', onsubmit: (event) => event.preventDefault()}, ...plain,
    advanced.length ? el('details', {}, el('summary', {}, 'More options'), ...advanced) : null);
}

function field({kind, choices, min, max, step, placeholder, scale = 1}, value) {
  if (kind === 'check') return el('input', {type: 'checkbox', checked: Boolean(value)});
  if (kind === 'choice') {
    return el('select', {}, ...choices.map(([own, label]) => el('option', {value: own ?? '', selected: own === (value ?? null)}, label)));
  }
  if (kind === 'text') return el('input', {type: 'text', placeholder, value: value ?? '', spellcheck: false});
  return el('input', {type: 'number', min, max, step: step ?? 'any', placeholder, value: value === null || value === undefined ? null : value / scale});
}

function read({kind, scale = 1, zero = null}, input) {
  if (kind === 'check') return input.checked;
  if (input.value.trim() === '') return zero;
  if (kind === 'text') return input.value.trim();
  return kind === 'choice' ? input.value : Number(input.value) * scale;
}
