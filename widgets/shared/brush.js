// Marked rows: one byte each in the page (or null for none), one bit each on their way to the kernel.
import { NONE } from "./raster.js";

/** One bit a row, as base64: a list of a million rows would be too long a message. */
export function pack(mask) {
  if (!mask) return null;
  const packed = new Uint8Array(Math.ceil(mask.length / 8));
  mask.forEach((v, i) => v && (packed[i >> 3] |= 128 >> (i & 7)));
  let text = "";
  for (let i = 0; i < packed.length; i += 8192) text += String.fromCharCode(...packed.subarray(i, i + 8192));
  return btoa(text);
}

/** Labels in which only marked rows have a colour: of those without a component it is that after the last of `k`. */
export const alone = (labels, mask, k) => labels.map((label, i) => (!mask[i] ? NONE : label === NONE ? k : label));

/** How many rows are marked. */
export const marked = (mask) => mask.reduce((sum, v) => sum + (v ? 1 : 0), 0);

/** Marks after some more were chosen: these alone, with those before ("add"), or taken from them ("take"). */
export function combine(before, chosen, how) {
  const mask = { add: () => chosen.map((v, i) => v | before[i]), take: () => before.map((v, i) => v & ~chosen[i]) };
  const now = before && mask[how] ? mask[how]() : how === "take" ? null : chosen;
  return now?.includes(1) ? now : null;
}

/**
 * Whether a place lies inside a closed polygon, by the even-odd rule. It is compared only with the edges in its row of
 * pixels, so that a long line around a million points is no slower than a short one.
 * @param {[number, number][]} polygon in pixels
 * @returns {(x: number, y: number) => boolean}
 */
export function within(polygon) {
  const low = Math.floor(polygon.reduce((least, [, y]) => Math.min(least, y), Infinity));
  const rows = [];
  polygon.forEach(([x1, y1], i) => {
    const [x2, y2] = polygon[(i + 1) % polygon.length];
    const [top, bottom] = [Math.min(y1, y2), Math.max(y1, y2)];
    const edge = { top, bottom, x1, y1, slope: (x2 - x1) / (y2 - y1) };
    if (top < bottom) for (let r = Math.floor(top) - low; r <= bottom - low; r++) (rows[r] ??= []).push(edge);
  });
  return (x, y) => {
    const edges = rows[Math.floor(y) - low];
    let inside = false;
    if (edges) for (const edge of edges) if (y >= edge.top && y < edge.bottom && x < edge.x1 + (y - edge.y1) * edge.slope) inside = !inside;
    return inside;
  };
}

/**
 * Marks in `mask` the points that are touched.
 * @param {Float32Array} points x, y, x, y, ...
 * @param {{ax: number, bx: number, ay: number, by: number}} map points to pixels
 * @param {(x: number, y: number) => boolean} touched
 */
export function mark(mask, points, { ax, bx, ay, by }, touched) {
  for (let i = 0; i < mask.length; i++) if (!mask[i] && touched(ax * points[2 * i] + bx, ay * points[2 * i + 1] + by)) mask[i] = 1;
  return mask;
}

/** The point nearest to a place within `reach` pixels, or null. */
export function nearest([px, py], points, { ax, bx, ay, by }, reach) {
  let [best, least] = [null, reach * reach];
  for (let i = 0; 2 * i < points.length; i++) {
    const [dx, dy] = [ax * points[2 * i] + bx - px, ay * points[2 * i + 1] + by - py];
    const far = dx * dx + dy * dy;
    if (far <= least) [best, least] = [i, far];
  }
  return best;
}
