// One frame of a chart: axes with marks on a canvas, what a pointer or a key finds there, and what it is told then.
// What is drawn comes from gmmlab/plot/chart.py, which has a second painter in Python: both know the same marks.
import { html, set, KEYS_STAY } from "./dom.js";
import { MARKS } from "./marks.js";
import { nudge } from "./keyboard.js";
import { View, room, ticks, ticksAcross } from "./view.js";

const NEAR = 14; // pixels from an element that finds it
const FONT = 11;

export class Frame {
  #targets = [];
  #at = -1; // the target that keys have reached
  #drag = null;
  #size = [0, 0];

  /** @param {import("../chart/index.js").ChartPanel} app @param {number} index among the frames of the chart */
  constructor(app, index) {
    Object.assign(this, { app, index, view: new View() });
    this.canvas = html("canvas", { "aria-hidden": "true" });
    this.element = html("div", { class: "gl-frame", tabindex: 0, role: "group", "aria-roledescription": "chart", ...KEYS_STAY }, this.canvas);
    const on = (name, act) => this.element.addEventListener(name, act);
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event));
    on("pointercancel", () => (this.#drag = null));
    on("pointerleave", () => !this.#drag && this.#point(null));
    on("keydown", (event) => this.#key(event));
    on("blur", () => this.#point(null));
  }

  update(spec) {
    this.spec = spec;
    set(this.element, { "aria-label": [spec.title, spec.y_title, spec.x_title && `against ${spec.x_title}`].filter(Boolean).join(" ") || "Chart",
      style: `height:${spec.height}px;flex:1 1 ${spec.width}px`, "data-acts": spec.place || spec.brush ? "" : null,
      "data-picks": spec.pick === null ? null : "" });
    [this.view.x, this.view.y] = [spec.x_range, spec.y_range];
  }

  measure() {
    this.#size = [this.element.clientWidth, this.element.clientHeight];
  }

  paint(style) {
    const { spec, canvas } = this;
    const [width, height] = this.#size;
    if (!width || !spec) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    ctx.font = `${FONT}px ${style.family}`;
    const plan = this.#plan(width, height);
    this.#axes(ctx, plan, style);
    this.#titles(ctx, width, style);
    this.#targets = [];
    ctx.save();
    const { left, top, width: across, height: down } = this.view.box;
    ctx.beginPath();
    ctx.rect(left - 6, top - 6, across + 12, down + 7); // dots on the border are whole
    ctx.clip();
    ctx.translate(left, top);
    const scene = { ctx, view: this.view, style, app: this.app, ratio, find: (target) => this.#targets.push(target) };
    for (const mark of spec.marks) MARKS[mark.kind](mark, scene);
    if (this.#drag?.box) this.#drawBrush(ctx, style);
    ctx.restore();
    this.#drawPointed(ctx, style);
    if (this.#at >= this.#targets.length) this.#at = -1;
  }

  #plan(width, height) {
    const { spec, view } = this;
    const top = spec.title || spec.y_title || spec.marks.some(({ label }) => label) ? 26 : 8;
    const foot = spec.x_title ? 38 : spec.ticks || spec.x_names.length ? 22 : 8;
    const down = Math.max(1, height - top - foot);
    const cells = spec.y_names.length > 0;
    const y = spec.ticks && !cells ? ticks(...[...spec.y_range].sort((a, b) => a - b), Math.max(2, down / 46)) : { values: [], format: String };
    const left = cells ? room(spec.y_names) - 2 : spec.ticks ? room(y.values.map(y.format)) : 8;
    view.box = { left, top, width: Math.max(1, width - left - 12), height: down };
    const [x0, x1] = spec.x_range;
    const most = spec.whole ? Math.max(1, Math.min(x1 - x0, view.box.width / 70)) : 0;
    const x = !spec.ticks || spec.x_names.length ? { values: [], format: String } : spec.whole ? ticks(x0, x1, most) : ticksAcross(x0, x1, view.box.width);
    return { x, y };
  }

  #axes(ctx, { x, y }, style) {
    const { spec, view } = this;
    const { left, top, width, height } = view.box;
    const cells = spec.x_names.length || spec.y_names.length;
    ctx.lineWidth = 1;
    ctx.strokeStyle = style.grid;
    ctx.fillStyle = style.quiet;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    for (const v of y.values) {
      const at = Math.round(top + view.toScreen([0, v])[1]) + 0.5;
      ctx.beginPath();
      ctx.moveTo(left, at);
      ctx.lineTo(left + width, at);
      ctx.stroke();
      ctx.fillText(y.format(v), left - 7, at);
    }
    spec.y_names.forEach((name, i) => ctx.fillText(name, left - 7, top + view.toScreen([0, i + 0.5])[1]));
    ctx.textBaseline = "top";
    ctx.textAlign = "center";
    for (const v of x.values) ctx.fillText(x.format(v), left + view.toScreen([v, 0])[0], top + height + 6);
    spec.x_names.forEach((name, j) => ctx.fillText(name, left + view.toScreen([j + 0.5, 0])[0], top + height + 5));
    if (cells) return;
    ctx.strokeStyle = style.edge;
    if (!spec.ticks) return ctx.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    ctx.beginPath();
    ctx.moveTo(left, top + height + 0.5);
    ctx.lineTo(left + width, top + height + 0.5);
    ctx.stroke();
  }

  /** What is shown, above; the key on the right, as far as there is room. */
  #titles(ctx, width, style) {
    const { spec, view } = this;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    let at = spec.title || !spec.ticks ? 8 : Math.min(view.box.left - 8, 14);
    ctx.font = `500 12px ${style.family}`;
    for (const [words, face] of [[spec.title, style.ink], [spec.y_title && `↑ ${spec.y_title}`, style.quiet]]) {
      if (!words) continue;
      ctx.fillStyle = face;
      ctx.fillText(words, at, 13);
      at += ctx.measureText(words).width + 12;
    }
    ctx.font = `${FONT}px ${style.family}`;
    let right = width - 12;
    for (const mark of [...spec.marks].reverse()) {
      if (!mark.label) continue;
      const long = ctx.measureText(mark.label).width;
      if (right - long - 18 < at) break;
      ctx.textAlign = "right";
      ctx.fillStyle = style.quiet;
      ctx.fillText(mark.label, right, 13);
      MARKS.key(mark, { ctx, x: right - long - 14, y: 13, style });
      right -= long + 30;
    }
    if (!spec.x_title) return;
    ctx.textAlign = "right";
    ctx.fillStyle = style.quiet;
    ctx.fillText(`${spec.x_title} →`, width - 12, view.box.top + view.box.height + 29);
  }

  // pointing

  #place(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left - this.view.box.left, event.clientY - box.top - this.view.box.top];
  }

  #near([x, y]) {
    let best = null;
    let least = this.spec.snap === "x" ? Infinity : NEAR;
    for (const target of this.#targets) {
      const dx = target.w ? Math.max(0, target.x - x, x - target.x - target.w) : Math.abs(x - target.x);
      const dy = target.h ? Math.max(0, target.y - y, y - target.y - target.h) : Math.abs(y - target.y);
      const far = this.spec.snap === "x" ? dx + dy / 100 : Math.max(0, Math.hypot(dx, dy) - (target.r ?? 0));
      if (far < least || (far === least && far === 0)) [best, least] = [target, far];
    }
    return best;
  }

  #down(event) {
    if (event.button > 0) return;
    const at = this.#place(event);
    this.#drag = { from: at, box: null };
    if (this.spec.place || this.spec.brush) this.element.setPointerCapture(event.pointerId);
    if (this.spec.place) this.#say(at);
  }

  #move(event) {
    const at = this.#place(event);
    if (this.#drag && this.spec.place) return this.#say(at);
    if (this.#drag && this.spec.brush && Math.hypot(at[0] - this.#drag.from[0], at[1] - this.#drag.from[1]) > 4) {
      this.#drag.box = [this.#drag.from, at];
      return this.app.brush(this.#inside(this.#drag.box));
    }
    this.#point(this.#near(at));
  }

  #up(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    if (drag.box) return this.app.brushed(this.index, drag.box.map((corner) => this.view.toData(corner)));
    if (this.spec.brush && this.app.state.brush) return this.app.brushed(this.index, null);
    if (!this.spec.place) this.#choose(this.#near(this.#place(event)));
  }

  #choose(target) {
    const pick = target?.pick ?? this.spec.pick;
    if (pick !== null && pick !== undefined) this.app.pick(this.index, pick, target?.action);
    else if (this.spec.dims.length) this.app.tell({ dims: this.spec.dims });
  }

  #say(at) {
    const { width, height } = this.view.box;
    const held = [Math.max(0, Math.min(width, at[0])), Math.max(0, Math.min(height, at[1]))];
    this.app.place(this.index, this.view.toData(held));
  }

  /** Which rows lie in a box of the screen: of all points if this frame shows them, else of its elements. */
  #inside([[x0, y0], [x1, y1]]) {
    const [left, right] = [Math.min(x0, x1), Math.max(x0, x1)];
    const [top, bottom] = [Math.min(y0, y1), Math.max(y0, y1)];
    const mask = new Uint8Array(this.app.rows.n);
    const points = this.spec.marks.find(({ kind }) => kind === "points");
    if (points) {
      const map = this.app.rows.map(points.dims, this.view);
      const xy = this.app.rows.pair(points.dims);
      for (let i = 0; i < mask.length; i++) {
        const [x, y] = [map.ax * xy[2 * i] + map.bx, map.ay * xy[2 * i + 1] + map.by];
        if (x >= left && x <= right && y >= top && y <= bottom) mask[i] = 1;
      }
    } else for (const { x, y, row } of this.#targets) if (row !== undefined && x >= left && x <= right && y >= top && y <= bottom) mask[row] = 1;
    return mask;
  }

  #point(target) {
    if (target === this.pointed) return;
    this.pointed = target;
    this.app.point(this, target);
  }

  /** Where the words of what is pointed at go, in this element. */
  spot({ x, y, w = 0 }) {
    return [this.view.box.left + x + w / 2, this.view.box.top + y];
  }

  #drawPointed(ctx, style) {
    const target = this.pointed;
    if (!target) return;
    const { left, top, height } = this.view.box;
    ctx.strokeStyle = style.ink;
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    if (target.w) ctx.rect(left + target.x, top + target.y, target.w, target.h);
    else {
      if (this.spec.snap === "x") {
        ctx.globalAlpha = 0.4;
        ctx.moveTo(left + target.x, top);
        ctx.lineTo(left + target.x, top + height);
        ctx.stroke();
        ctx.globalAlpha = 1;
        ctx.beginPath();
      }
      ctx.arc(left + target.x, top + target.y, (target.r ?? 3) + 2.5, 0, 2 * Math.PI);
    }
    ctx.stroke();
  }

  #drawBrush(ctx, style) {
    const [[x0, y0], [x1, y1]] = this.#drag.box;
    ctx.fillStyle = style.line;
    ctx.globalAlpha = 0.12;
    ctx.fillRect(x0, y0, x1 - x0, y1 - y0);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = style.line;
    ctx.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  // keys: arrows walk from element to element, Enter chooses

  #key(event) {
    const by = nudge(event, 1);
    if (event.key === "Enter" || event.key === " ") this.#choose(this.pointed);
    else if (!by) return;
    else if (this.spec.place) this.#nudgePlace(nudge(event, 8));
    else this.#walk(by);
    event.preventDefault();
  }

  #nudgePlace([dx, dy]) {
    const [x, y] = this.view.toScreen(this.app.placed(this.index) ?? this.spec.at ?? [this.spec.x_range[0], this.spec.y_range[0]]);
    this.#say([x + dx, y + dy]);
  }

  #walk([dx, dy]) {
    const here = this.pointed ?? null;
    if (!here) return this.#point(this.#targets[0] ?? null);
    let best = null;
    let least = Infinity;
    for (const target of this.#targets) {
      const [ex, ey] = [target.x - here.x, target.y - here.y];
      const along = ex * Math.sign(dx) + ey * Math.sign(dy);
      const across = Math.abs(dx ? ey : ex);
      const far = along + (this.spec.snap === "x" && dx ? 0.01 : 3) * across;
      if (target !== here && along > 0.01 && far < least) [best, least] = [target, far];
    }
    if (best) this.#point(best);
  }
}
