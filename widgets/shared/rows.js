// The rows of the data as the page has them: their columns, sent once, and the label of each.
import { alone } from "./brush.js";
import { Raster, NONE } from "./raster.js";

export class Rows {
  #pairs = new Map();
  #rasters = new Map();
  #shown = [];
  #brush = null;
  #none = new Uint8Array(0);
  #painted = null;
  n = 0;
  k = 1;
  labels = null;
  others = [];
  columns = [];
  ranges = [];
  sheet = document.createElement("canvas");

  /** @param {{n: number, ranges: [number, number][]}} message @param {Float32Array} all columns after each other */
  take({ n, ranges }, all) {
    Object.assign(this, { n, ranges, labels: null, others: [] });
    this.columns = ranges.map((_, j) => all.subarray(j * n, (j + 1) * n));
    this.#pairs.clear();
    this.#shown = [];
  }

  /** @param {Uint8Array[]} others more sets of labels, numbered from 1 */
  label(labels, k, others = []) {
    if (labels.length !== this.n) return; // those of rows that are here no more
    Object.assign(this, { labels, k, others });
    this.#shown = [];
  }

  has(dims) {
    return dims.every((j) => this.columns[j]?.length);
  }

  /** Two columns, interleaved. */
  pair([i, j]) {
    const name = `${i} ${j}`;
    if (!this.#pairs.has(name)) {
      const xy = new Float32Array(2 * this.n);
      for (let r = 0; r < this.n; r++) [xy[2 * r], xy[2 * r + 1]] = [this.columns[i][r], this.columns[j][r]];
      this.#pairs.set(name, xy);
    }
    return this.#pairs.get(name);
  }

  /** Points are parts of their ranges: this takes them to the pixels of a view. */
  map([i, j], { sx, sy, x, y }) {
    const [[x0, x1], [y0, y1]] = [this.ranges[i], this.ranges[j]];
    return { ax: (x1 - x0) * sx, bx: (x0 - x[0]) * sx, ay: (y1 - y0) * sy, by: (y0 - y[1]) * sy };
  }

  /** Gives the rows of a mask a label until it is taken back with null; -1 is none. */
  paint(mask, label = -1) {
    this.#painted = mask && { mask, label: label < 0 ? NONE : label };
    return 0;
  }

  /** The label that a row is being given, if it is. */
  given(row) {
    const { mask, label } = this.#painted ?? {};
    return mask?.[row] ? (label === NONE ? -1 : label) : undefined;
  }

  /** Labels with the rows outside the brush without one; without a brush all have theirs, or none if they are plain. */
  shown(brush, { plain = false, by = 0 } = {}) {
    const labels = by ? this.others[by - 1] : this.labels;
    const { mask, label } = this.#painted ?? {};
    if (labels && mask?.length === labels.length) return (brush ? alone(labels, brush, this.k) : labels).map((known, i) => (mask[i] ? label : known));
    if (!brush && plain) return this.#none.length === this.n ? this.#none : (this.#none = new Uint8Array(this.n).fill(NONE));
    if (!brush || !labels) return labels;
    if (this.#brush !== brush) [this.#brush, this.#shown] = [brush, []];
    return (this.#shown[by] ??= alone(labels, brush, this.k));
  }

  raster(width, height) {
    const name = `${width} ${height}`;
    if (!this.#rasters.has(name)) {
      if (this.#rasters.size > 8) this.#rasters.clear();
      const raster = new Raster();
      raster.resize(width, height);
      this.#rasters.set(name, raster);
    }
    return this.#rasters.get(name);
  }
}
