// Health, models and figures of the parts.

import {bytes, duration, el, figure, say} from './dom.js';

const GOOD = {ok: 'right', starting: 'mark', restarting: 'mark'};

/** Show what is not as it should be. */
export function showHealth(status) {
  const failing = status.checks.filter((check) => !check.ok);
  say(document.getElementById('device'), status.device);
  say(document.getElementById('about'), `up for ${duration(status.uptime_s)} · ${status.version}`);
  setHealth(failing.length ? 'wrong' : 'right', failing.length ? `${failing.length} of ${status.checks.length} checks fail` : 'Ready');
  document.getElementById('failing').hidden = !failing.length;
  replace(document.querySelector('#failing ul'), failing.map((check) => el('li', {}, el('b', {}, `${check.kind} ${check.name}`), `: ${check.reason}, for ${duration(check.for_s)}`)));
}

/** Show one state of health in the header. */
export function setHealth(kind, text) {
  const health = document.getElementById('health');
  health.className = `chip ${kind}`;
  say(health, text);
}

/** Show the models. */
export function showModels(models) {
  replace(document.getElementById('models'), models.map((model) => el('div', {},
    el('div', {class: 'title'}, el('h3', {}, model.name), el('p', {class: `chip ${GOOD[model.status] ?? 'wrong'}`}, model.status)),
    el('p', {class: 'small'}, facts(model).join(' · ')),
    model.digest ? el('p', {class: 'small'}, el('code', {title: model.digest}, model.digest.slice(0, 12))) : null,
    model.reason ? el('p', {class: 'reason'}, model.reason) : null)));
}

function facts(model) {
  const share = model.provider_share === null || model.provider_share === 1 ? '' : ` (${Math.round(100 * model.provider_share)} % of its nodes)`;
  return [
    !(model.digest && model.file.startsWith(model.digest)) && model.file, // of the store
    model.provider && `${model.provider}${share}`,
    model.restarts && counted(model.restarts, 'restarts'),
    model.probation_left_s !== null && `on probation for another ${duration(model.probation_left_s)}`,
    model.candidate && `${model.candidate.slice(0, 12)} in shadow`,
    ...Object.entries(model.figures).map(([name, value]) => counted(value, name.replaceAll('_', ' '))),
    ...Object.entries(model.errors).map(([kind, count]) => `${counted(count, 'frames')} without an answer: ${kind}`),
  ].filter(Boolean);
}

/** Write a number and what it counts, of one in the singular. */
function counted(value, names) {
  return `${figure(value)} ${value === 1 ? names.replace(/s$/, '') : names}`;
}

/** Show the figures of the parts. */
export function showParts(parts) {
  replace(document.getElementById('parts'), Object.entries(parts).map(([part, figures]) => el('div', {},
    el('h3', {}, part.replaceAll('_', ' ')),
    el('dl', {}, ...Object.entries(figures).flatMap(([name, value]) => [el('dt', {}, label(name)), el('dd', {}, shown(name, value))])))));
}

const label = (name) => (name === 'bytes' ? 'size' : name.replace(/_bytes$/, '').replaceAll('_', ' '));

function shown(name, value) {
  if (name === 'connected' || name === 'failing') return value ? 'yes' : 'no';
  return name.endsWith('bytes') ? bytes(value) : figure(value);
}

/** Replace children only if they changed. */
function replace(place, children) {
  const made = el('div', {}, ...children);
  if (made.innerHTML !== place.innerHTML) place.replaceChildren(...made.children);
}
