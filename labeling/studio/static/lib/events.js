// Events of the server, re-sent as CustomEvents whose `detail` is the JSON object.

const HIDDEN_MS = 20_000;
const target = new EventTarget();
const listening = new Set();
let source = null;
let lost = false;

function listen(kind) {
  source.addEventListener(kind, (event) => target.dispatchEvent(new CustomEvent(kind, {detail: JSON.parse(event.data)})));
}

function connect() {
  source?.close();
  source = new EventSource('api/events');
  for (const kind of listening) listen(kind);
  source.onopen = () => {
    if (lost) target.dispatchEvent(new CustomEvent('reload'));
    lost = false;
    target.dispatchEvent(new CustomEvent('connection', {detail: {up: true}}));
  };
  source.onerror = () => {
    lost = true;
    target.dispatchEvent(new CustomEvent('connection', {detail: {up: false}}));
    if (source?.readyState === EventSource.CLOSED) setTimeout(connect, 1000); // refused, not only cut off
  };
}

/**
 * Call `handle(detail)` for every event of a kind, until `signal` is aborted.
 * Kinds of the page itself: `connection` ({up}), and `reload` after events were missed.
 */
export function on(kind, handle, signal) {
  target.addEventListener(kind, (event) => handle(event.detail), {signal});
  if (listening.has(kind) || kind === 'connection') return;
  listening.add(kind);
  if (source) listen(kind);
}

/** Call `act` every so many milliseconds while the page is in sight, until `signal` is aborted. */
export function every(ms, act, signal) {
  const timer = setInterval(() => { if (!document.hidden) act(); }, ms);
  signal.addEventListener('abort', () => clearInterval(timer));
}

// A browser opens at most six connections to a server: pages that nobody looks at leave theirs to others.
let leaving = 0;

function leave() {
  source?.close();
  source = null;
  lost = true;
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(leave, HIDDEN_MS);
  else if (!source) connect();
});

export const start = () => { if (!source) connect(); };
