// Which part of the data is seen, and where: an affine map per axis between data units and pixels.

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

export class View {
  /** @param {[[number, number], [number, number]]} ranges @param {Box} box */
  constructor(ranges = [[0, 1], [0, 1]], box = { left: 0, top: 0, width: 1, height: 1 }) {
    this.box = box;
    this.fit(ranges);
  }

  /** Shows all of `ranges` with a margin; a range without width gets one. */
  fit(ranges, margin = 0.06) {
    [this.x, this.y] = ranges.map(([lo, hi]) => {
      const width = hi - lo || Math.abs(lo) * 0.1 || 1;
      const pad = (hi > lo ? margin : 0.5) * width;
      return [lo - pad, hi + pad];
    });
    this.limit = [this.x[1] - this.x[0], this.y[1] - this.y[0]];
  }

  /** Pixels per unit; negative on y, because screens count downwards. */
  get sx() {
    return this.box.width / (this.x[1] - this.x[0]);
  }
  get sy() {
    return -this.box.height / (this.y[1] - this.y[0]);
  }

  toScreen([x, y]) {
    return [(x - this.x[0]) * this.sx, (y - this.y[1]) * this.sy];
  }
  toData([px, py]) {
    return [this.x[0] + px / this.sx, this.y[1] + py / this.sy];
  }

  pan(dx, dy) {
    const [mx, my] = [dx / this.sx, dy / this.sy];
    this.x = this.x.map((v) => v - mx);
    this.y = this.y.map((v) => v - my);
  }

  /** Scales about the pixel (px, py); bounded, so that nobody gets lost. */
  zoom(factor, px, py) {
    const [cx, cy] = this.toData([px, py]);
    const width = (this.x[1] - this.x[0]) / factor;
    if (width > this.limit[0] * 20 || width < this.limit[0] * 1e-4) return;
    this.x = this.x.map((v) => cx + (v - cx) / factor);
    this.y = this.y.map((v) => cy + (v - cy) / factor);
  }

  /** Moves so that a data point is inside, if it is not. */
  reveal(point) {
    const [px, py] = this.toScreen(point);
    const { width, height } = this.box;
    if (px >= 0 && px <= width && py >= 0 && py <= height) return false;
    this.pan(width / 2 - px, height / 2 - py);
    return true;
  }
}

/** Round values between lo and hi, about `count` of them, and how to write them. */
export function ticks(lo, hi, count) {
  const span = hi - lo;
  if (!(span > 0) || !isFinite(span)) return { values: [], format: String };
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [10, 5, 2, 1].find((m, i) => i === 3 || raw / power >= [7.07, 3.16, 1.41][i]);
  const first = Math.ceil(lo / step - 1e-9);
  const values = [];
  for (let i = first; i * step <= hi + step * 1e-9 && values.length < 64; i++) values.push(i * step);
  return { values, format: formatter(step, Math.max(Math.abs(lo), Math.abs(hi))) };
}

/** Ticks of an axis that many pixels wide, so few that their labels keep apart. */
export function ticksAcross(lo, hi, width) {
  for (let count = Math.max(2, width / 95); ; count *= 0.7) {
    const found = ticks(lo, hi, count);
    const [first, second] = found.values;
    if (found.values.length < 3 || room(found.values.map(found.format)) <= ((second - first) / (hi - lo)) * width) return found;
  }
}

/** Pixels that the longest of these labels takes, at 11 pixels, with air beside it. */
export const room = (labels) => 18 + Math.ceil(6.4 * Math.max(0, ...labels.map((label) => label.length)));

/** The ranges of the points, widened for ellipses that stick out, but by 30% at most: the points are what one came for. */
export function reach(ranges, components, sigma) {
  return ranges.map(([lo, hi], i) => {
    const most = 0.3 * (hi - lo);
    const sides = components.map(({ mean, factor }) => [mean[i], sigma * Math.hypot(...factor[i])]);
    const low = Math.min(lo, ...sides.map(([at, half]) => at - half));
    const high = Math.max(hi, ...sides.map(([at, half]) => at + half));
    return [Math.max(low, lo - most), Math.min(high, hi + most)];
  });
}

function formatter(step, largest) {
  if (largest >= 1e6 && step >= 1e4 && largest / step < 50) return (v) => minus(v === 0 ? "0" : trim(v.toExponential(2)));
  if (largest < 1e-3) return (v) => minus(v === 0 ? "0" : trim(v.toExponential(1)));
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return (v) => minus((Math.abs(v) < step * 1e-6 ? 0 : v).toLocaleString("en", {
    minimumFractionDigits: decimals, maximumFractionDigits: decimals, useGrouping: largest >= 1e4,
  }));
}

const trim = (text) => text.replace(/\.?0+e/, "e").replace("e+", "e");

/** With a true minus sign. */
export const minus = (text) => text.replace(/^-/, "−").replace("e-", "e−");

/** How many, as people write it. */
export const count = (n) => n.toLocaleString("en");

/** A share of one. */
export const percent = (part) => `${number(100 * part, part < 0.1 ? 2 : 3)}%`;

/** A number with about `digits` significant figures, as people write it. */
export function number(v, digits = 4) {
  if (!isFinite(v)) return String(v);
  const size = Math.abs(v);
  if (size && (size >= 1e7 || size < 1e-4)) return minus(trim(v.toExponential(digits - 1)));
  const decimals = size ? Math.max(0, digits - 1 - Math.floor(Math.log10(size))) : 0;
  return minus(v.toLocaleString("en", { maximumFractionDigits: Math.min(8, decimals), useGrouping: size >= 1e4 }));
}
