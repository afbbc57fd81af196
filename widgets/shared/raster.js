// Points as a density: counted per pixel, never painted over each other. Counts are whole
// numbers, so that any order of the points gives the same picture.

const UNIT = 16; // the weight of one point on a pixel that it covers wholly
const MOST_CELLS = 2 ** 23; // 32 MB of counts

/** The label of a row that belongs to no component. All cells for components end in ones, so that it falls in the last. */
export const NONE = 255;

/** Pixels and weights of a disc whose centre lies at one of 4 x 4 places inside a pixel. */
function disc(radius, ox, oy) {
  const reach = Math.ceil(radius + 0.5);
  const cells = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      let weight = 0;
      for (let s = 0; s < UNIT; s++) {
        const x = dx + ((s & 3) + 0.5) / 4 - ox;
        const y = dy + ((s >> 2) + 0.5) / 4 - oy;
        if (x * x + y * y <= radius * radius) weight++;
      }
      if (weight) cells.push(dx, dy, weight);
    }
  }
  return { reach, cell: Int16Array.from(cells) };
}

const ONE_PIXEL = { cell: Int16Array.of(0, 0, 1), weights: Uint8Array.of(1) };

/** A disc with its weights apart, and the distance of its cells in a raster of this width. */
function aligned({ reach, cell }, width, slots) {
  const count = cell.length / 3;
  const away = Int32Array.from({ length: count }, (_, j) => (cell[3 * j + 1] * width + cell[3 * j]) * slots);
  return { reach, cell, away, weights: Uint8Array.from({ length: count }, (_, j) => cell[3 * j + 2]) };
}

/** The 16 discs of one radius. */
function stamps(radius) {
  return Array.from({ length: 16 }, (_, i) => disc(radius, ((i & 3) + 0.5) / 4, ((i >> 2) + 0.5) / 4));
}

/** How many of the points are in sight, judged from up to 4096 of them. */
export function inSight(points, map, width, height) {
  const n = points.length / 2;
  const stride = Math.max(1, Math.floor(n / 4096));
  let seen = 0;
  let tried = 0;
  for (let i = 0; i < n; i += stride, tried++) {
    const px = map.ax * points[2 * i] + map.bx;
    const py = map.ay * points[2 * i + 1] + map.by;
    if (px >= 0 && px < width && py >= 0 && py < height) seen++;
  }
  return tried ? (seen / tried) * n : 0;
}

/** Radius of a point in CSS pixels, in quarters: few points are discs, many are single pixels (0). */
export function radiusFor(seen) {
  if (seen > 2e5) return 0;
  const radius = 2.8 * (Math.max(seen, 1) / 200) ** -0.17;
  return Math.round(Math.min(3, Math.max(1, radius)) * 4) / 4;
}

/**
 * Counts lie pixel by pixel. With few components there is one cell for each of them (one write a point, four times as
 * fast); with many on a big picture there are four: weight, and the sums of red, green and blue. Both hold the same.
 */
export function slotsFor(pixels, k) {
  const slots = 2 ** Math.ceil(Math.log2(Math.max(1, k)));
  return pixels * slots <= MOST_CELLS ? { slots, each: true } : { slots: 4, each: false };
}

export class Raster {
  #stamps = new Map();
  width = 0;
  height = 0;
  cells = new Uint32Array(0);

  resize(width, height) {
    if (width === this.width && height === this.height) return;
    [this.width, this.height] = [width, height];
    this.image = new ImageData(width, height);
    this.out = new Uint32Array(this.image.data.buffer);
    this.weights = new Uint32Array(width * height);
  }

  /**
   * @param {Float32Array} points x, y, x, y, ...
   * @param {Uint8Array | null} labels component of each point, or NONE
   * @param {Uint8Array} colours r, g, b per component, and one more for points without a label
   * @param {{ax: number, bx: number, ay: number, by: number}} map data units to pixels of this raster
   * @returns {ImageData}
   */
  draw(points, labels, colours, map, { stride = 1, scale = 1 } = {}) {
    const seen = inSight(points, map, this.width, this.height) / stride;
    const radius = radiusFor(seen) * scale;
    const known = labels?.length * 2 === points.length;
    const scene = { points, labels: known ? labels : new Uint8Array(points.length / 2), stride, ...map };
    scene.colours = known ? colours : colours.subarray(-3);
    const k = known ? colours.length / 3 - 1 : 1;
    const noise = known && labels.includes(NONE); // its own cell costs room, and few models have any
    Object.assign(scene, slotsFor(this.out.length, k + (noise ? 1 : 0)));
    this.#clear(this.out.length * scene.slots);
    const discs = radius ? this.#discs(radius, scene.slots) : Array(16).fill(ONE_PIXEL);
    if (!scene.each) this.#sum(scene, discs);
    else if (radius) this.#stamp(scene, discs);
    else this.#count(scene);
    this.#resolve(scene, seen, radius ? UNIT : 1);
    return this.image;
  }

  #clear(size) {
    if (this.cells.length === size) this.cells.fill(0);
    else this.cells = new Uint32Array(size);
  }

  /** Discs of this radius, with the way from their middle cell to the others. */
  #discs(radius, slots) {
    const name = `${radius} ${this.width} ${slots}`;
    if (!this.#stamps.has(name)) {
      if (this.#stamps.size > 24) this.#stamps.clear();
      this.#stamps.set(name, stamps(radius).map((disc) => aligned(disc, this.width, slots)));
    }
    return this.#stamps.get(name);
  }

  #count({ points, labels, stride, slots, ax, bx, ay, by }) {
    const { cells, width, height } = this;
    const n = labels.length;
    const shift = Math.log2(slots);
    const mask = slots - 1;
    for (let i = 0; i < n; i += stride) {
      const px = ax * points[2 * i] + bx;
      const py = ay * points[2 * i + 1] + by;
      if (px >= 0 && px < width && py >= 0 && py < height) {
        cells[(((py | 0) * width + (px | 0)) << shift) | (labels[i] & mask)]++;
      }
    }
  }

  #stamp({ points, labels, stride, slots, ax, bx, ay, by }, discs) {
    const { cells, width, height } = this;
    const n = labels.length;
    const edge = discs[0].reach;
    for (let i = 0; i < n; i += stride) {
      const px = ax * points[2 * i] + bx;
      const py = ay * points[2 * i + 1] + by;
      if (!(px >= -edge && px < width + edge && py >= -edge && py < height + edge)) continue;
      const ix = Math.floor(px);
      const iy = Math.floor(py);
      const { cell, away, weights } = discs[(((py - iy) * 4) << 2) | ((px - ix) * 4)];
      const base = (iy * width + ix) * slots + (labels[i] & (slots - 1));
      if (ix >= edge && ix < width - edge && iy >= edge && iy < height - edge) {
        for (let j = 0; j < away.length; j++) cells[base + away[j]] += weights[j];
        continue;
      }
      for (let j = 0; j < away.length; j++) {
        const x = ix + cell[3 * j];
        const y = iy + cell[3 * j + 1];
        if (x >= 0 && x < width && y >= 0 && y < height) cells[base + away[j]] += weights[j];
      }
    }
  }

  /** The same, where there is no room for a cell for each component. */
  #sum({ points, labels, colours, stride, slots, ax, bx, ay, by }, discs) {
    const { cells, width, height } = this;
    const n = labels.length;
    const none = colours.length - 3;
    for (let i = 0; i < n; i += stride) {
      const px = ax * points[2 * i] + bx;
      const py = ay * points[2 * i + 1] + by;
      if (!(px >= -8 && px < width + 8 && py >= -8 && py < height + 8)) continue;
      const ix = Math.floor(px);
      const iy = Math.floor(py);
      const { cell, weights } = discs[(((py - iy) * 4) << 2) | ((px - ix) * 4)];
      const c = Math.min(labels[i] * 3, none);
      for (let j = 0; j < weights.length; j++) {
        const x = ix + cell[3 * j];
        const y = iy + cell[3 * j + 1];
        if (x < 0 || x >= width || y < 0 || y >= height) continue;
        const p = (y * width + x) * slots;
        const weight = weights[j];
        cells[p] += weight;
        cells[p + 1] += weight * colours[c];
        cells[p + 2] += weight * colours[c + 1];
        cells[p + 3] += weight * colours[c + 2];
      }
    }
  }

  /** Colour by the mix of what lies there, opacity by the logarithm of how much. */
  #resolve({ slots, each, colours }, seen, unit) {
    const opacity = opacities(seen, unit, this.#weigh(slots, each));
    const { cells, out, weights } = this;
    const last = opacity.length - 1;
    const none = colours.length - 3;
    for (let i = 0, p = 0; i < out.length; i++, p += slots) {
      const weight = weights[i];
      if (weight === 0) {
        out[i] = 0;
        continue;
      }
      let r = 0;
      let g = 0;
      let b = 0;
      for (let s = each ? 0 : slots; s < slots; s++) {
        const here = cells[p + s];
        if (here === 0) continue;
        const c = Math.min(s * 3, none);
        r += here * colours[c];
        g += here * colours[c + 1];
        b += here * colours[c + 2];
      }
      if (!each) [r, g, b] = [cells[p + 1], cells[p + 2], cells[p + 3]];
      const alpha = opacity[Math.min(weight, last)];
      out[i] = (alpha << 24) | ((b / weight) << 16) | ((g / weight) << 8) | (r / weight);
    }
  }

  /** The weight of every pixel; returns their mean over pixels that are not empty. */
  #weigh(slots, each) {
    const { cells, weights } = this;
    const summed = each ? slots : 1;
    let total = 0;
    let filled = 0;
    for (let i = 0, p = 0; i < weights.length; i++, p += slots) {
      let weight = cells[p];
      if (summed === 4) weight += cells[p + 1] + cells[p + 2] + cells[p + 3]; // the usual case, unrolled
      else for (let s = 1; s < summed; s++) weight += cells[p + s];
      weights[i] = weight;
      total += weight;
      if (weight) filled++;
    }
    return filled ? total / filled : 1;
  }
}

/** Opacity (0 to 255) of every weight up to the one that is full. */
export function opacities(seen, unit, mean) {
  const one = Math.min(0.62, Math.max(0.2, 0.94 - 0.145 * Math.log10(Math.max(seen, 1)))); // a lone point
  const full = Math.max(6, (7 * mean) / unit);
  const table = new Uint8Array(Math.ceil(full * unit) + 1);
  for (let w = 0; w < table.length; w++) {
    const d = w / unit;
    const alpha = d < 1 ? one * d : one + (0.94 - one) * (Math.log(d) / Math.log(full));
    table[w] = Math.round(255 * Math.min(0.94, alpha));
  }
  return table;
}
