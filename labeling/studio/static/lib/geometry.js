// Boxes in pixels of the image: {id, xyxy, name, polygons}.

const LEAST = 1; // px, of a side

/** A tenth of a pixel is finer than anybody draws, and reads well in the file. */
export const rounded = (values) => values.map((value) => Math.round(value * 10) / 10);

export const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** Box between two points; null if it has no area. */
export function between([ax, ay], [bx, by]) {
  const xyxy = rounded([Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)]);
  return xyxy[2] - xyxy[0] >= LEAST && xyxy[3] - xyxy[1] >= LEAST ? xyxy : null;
}

/** The box moved by so many pixels, its outline with it; it stays inside the image. */
export function moved(box, dx, dy, width, height) {
  const [x1, y1, x2, y2] = box.xyxy;
  const [x, y] = [clamp(dx, -x1, width - x2), clamp(dy, -y1, height - y2)];
  return {
    ...box,
    xyxy: rounded([x1 + x, y1 + y, x2 + x, y2 + y]),
    polygons: box.polygons.map((flat) => rounded(flat.map((value, i) => (i % 2 ? clamp(value + y, 0, height) : clamp(value + x, 0, width))))),
  };
}

/**
 * The box with some sides at another place. Its outline no longer fits, and is left out.
 * @param {[number, number]} sides -1 for left or upper, 1 for right or lower, 0 for neither.
 */
export function resized(box, [sx, sy], [x, y]) {
  let [x1, y1, x2, y2] = box.xyxy;
  if (sx < 0) x1 = x;
  if (sx > 0) x2 = x;
  if (sy < 0) y1 = y;
  if (sy > 0) y2 = y;
  const xyxy = between([x1, y1], [x2, y2]);
  return xyxy ? {...box, xyxy, polygons: []} : box;
}

/** The box with one side moved by so many pixels, as of `resized`; it keeps an area and stays inside the image. */
export function stretched(box, [sx, sy], dx, dy, width, height) {
  const [x1, y1, x2, y2] = box.xyxy;
  const x = clamp((sx < 0 ? x1 : x2) + dx, 0, width), y = clamp((sy < 0 ? y1 : y2) + dy, 0, height);
  if (sx < 0 ? x >= x2 : sx > 0 && x <= x1) return box;
  if (sy < 0 ? y >= y2 : sy > 0 && y <= y1) return box;
  return resized(box, [sx, sy], [x, y]);
}

export const inside = ([x1, y1, x2, y2], [x, y]) => x >= x1 && x <= x2 && y >= y1 && y <= y2;

export const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

/** Intersection over union of two boxes, xyxy. */
export function iou(one, other) {
  const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]), height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / (area(one) + area(other) - shared);
}

/**
 * Part of a box under a point: 'inside', its sides as of `resized`, or null.
 * @param {number} reach How near to a side still counts, px of the image.
 */
export function partAt(xyxy, [x, y], reach) {
  const [x1, y1, x2, y2] = xyxy;
  if (x < x1 - reach || x > x2 + reach || y < y1 - reach || y > y2 + reach) return null;
  const side = (value, low, high) => {
    const within = Math.min(reach, (high - low) / 4); // the middle of a small box still moves it
    if (value <= low + within) return -1;
    return value >= high - within ? 1 : 0;
  };
  const sides = [side(x, x1, x2), side(y, y1, y2)];
  return sides[0] || sides[1] ? sides : 'inside';
}

/** Cursor over a part of a box, as of `partAt`. */
export function cursorOf(part) {
  if (!part) return 'crosshair';
  if (part === 'inside') return 'move';
  const [sx, sy] = part;
  return `${!sy ? 'ew' : !sx ? 'ns' : sx === sy ? 'nwse' : 'nesw'}-resize`;
}

/** Equal content of two frames, whatever the ids. */
export function same(one, other) {
  const plain = ({boxes, complete}) => JSON.stringify([complete, boxes.map(({xyxy, name, polygons}) => [xyxy, name, polygons])]);
  return plain(one) === plain(other);
}
