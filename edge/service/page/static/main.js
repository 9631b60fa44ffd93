// The page: state once a second, and events as they happen, for as long as it is in sight.

import {showCameras} from './cameras.js';
import {setHealth, showHealth, showModels, showParts} from './figures.js';
import {showEvents} from './past-events.js';

const HIDDEN_MS = 20_000;
const CLIP_MS = 4000; // until the clip of an event is whole

let source = null;
let leaving = 0;
let due = 0;

async function get(path) {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

function show(status) {
  document.title = `${status.ready ? '' : '(!) '}${status.device} · edgeloop`;
  showHealth(status);
  showCameras(status.cameras);
  showModels(status.models);
  showParts(status.parts);
}

/** Load the list of events, once for several that come together. */
function loadEvents(pause = 0) {
  clearTimeout(due);
  due = setTimeout(async () => {
    try {
      showEvents(await get('api/newest'));
    } catch {
      // The next event, or the connection when it is back, loads it.
    }
  }, pause);
}

async function load() {
  try {
    show(await get('api/status'));
    loadEvents();
  } catch {
    setHealth('wrong', 'No connection to the device');
  }
}

function connect() {
  source?.close();
  source = new EventSource('api/events');
  source.onopen = load;
  source.addEventListener('status', (event) => show(JSON.parse(event.data)));
  source.addEventListener('event', () => { loadEvents(300); setTimeout(loadEvents, CLIP_MS); });
  source.addEventListener('reload', load);
  source.onerror = () => {
    setHealth('wrong', 'No connection to the device');
    if (source?.readyState === EventSource.CLOSED) setTimeout(connect, 2000); // refused, not only cut off
  };
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(() => { source?.close(); source = null; }, HIDDEN_MS);
  else if (!source) connect();
});

connect();
