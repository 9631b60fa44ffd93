// Pictures of the cameras: one after the other, as fast as they arrive, of the cameras in sight.

const PAUSE_MS = 200;
const RETRY_MS = 3000;
const AT_ONCE = 3; // a browser opens at most six connections to a server, and one is for the events

const waiting = [];
let loading = 0;
let count = 0;

const inSight = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) {
    target.inSight = isIntersecting;
    if (isIntersecting) ask(target);
  }
});

/** Keep an image element up to date with a camera, once `img.live` is true. */
export function follow(img, camera) {
  img.camera = camera;
  inSight.observe(img);
}

/** Say if a camera has a picture. */
export function setLive(img, live) {
  img.live = live;
  if (live) ask(img);
}

function ask(img) {
  if (img.asked || !img.live || !img.inSight || document.hidden) return;
  img.asked = true;
  waiting.push(img);
  load();
}

function load() {
  while (loading < AT_ONCE && waiting.length) {
    const img = waiting.shift();
    const next = new Image();
    const done = (pause) => {
      loading -= 1;
      load();
      setTimeout(() => { img.asked = false; ask(img); }, pause);
    };
    loading += 1;
    next.onload = () => { img.src = next.src; done(PAUSE_MS); };
    next.onerror = () => done(RETRY_MS);
    next.src = `cameras/${img.camera}.jpg?${count++}`;
  }
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) for (const img of document.querySelectorAll('#cameras img')) ask(img);
});
