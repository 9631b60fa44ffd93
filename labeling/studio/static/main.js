// The page: its header, and one tab at a time. A tab is tabs/NAME.js, which defines <studio-NAME>.

import {get} from './lib/api.js';
import {attempt, el, notice} from './lib/dom.js';
import * as events from './lib/events.js';
import * as keys from './lib/keys.js';

const TITLES = {draw: 'Draw', label: 'Label', review: 'Review', audit: 'Audit', zones: 'Zones', train: 'Train', try: 'Try'};
const nav = document.getElementById('tabs');
const main = document.getElementById('tab');
let tabs = [];

async function open() {
  const [name = tabs[0]] = location.hash.slice(1).split('/');
  if (!tabs.includes(name)) { location.hash = tabs[0]; return; }
  for (const link of nav.children) {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  if (main.firstElementChild?.localName === `studio-${name}`) return; // a tab may keep its own place after its name
  document.title = `${TITLES[name]} · edgeloop studio`;
  await attempt(async () => {
    await import(`./tabs/${name}.js`);
    if (location.hash.slice(1).split('/')[0] !== name) return; // another tab was opened meanwhile
    main.replaceChildren(document.createElement(`studio-${name}`));
  });
}

function showKeys() {
  const rows = keys.listed().map(([own, effect]) => el('div', {}, el('dt', {}, ...own.flatMap((key) => [el('kbd', {}, key), ' '])), el('dd', {}, effect)));
  document.getElementById('keys-list').replaceChildren(...rows);
  document.getElementById('keys-help').showModal();
}

async function start() {
  const project = await get('project');
  document.getElementById('project').textContent = project.frames.split('/').at(-1);
  tabs = project.tabs;
  nav.replaceChildren(...tabs.map((name) => el('a', {href: `#${name}`}, TITLES[name])));
  keys.bind({'?': ['Show the keys', showKeys]}, new AbortController().signal);
  document.getElementById('keys-button').addEventListener('click', showKeys);
  events.on('connection', ({up}) => {
    document.getElementById('status').textContent = up ? '' : 'the server does not answer; trying again';
  });
  events.start();
  window.addEventListener('hashchange', open);
  await open();
}

start().catch(notice);
