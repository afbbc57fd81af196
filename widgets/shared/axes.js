// Axes with marks on a canvas: what a frame of gmmlab/plot/chart.py looks like, and which element is near a place.
// `Frame` adds what a person does in it; the Explorer's strip is such axes, too.
import { html, SILENT } from "./dom.js";
import { View, room, ticks, ticksAcross } from "./view.js";

const NEAR = 14; // pixels from an element that finds it
const FONT = 11;

export class Axes {
  #size = [0, 0];
  targets = []; // elements of the marks that say something or can be chosen, in pixels of the plot
  pointed = null; // the one of them that is ringed
  left = 0; // room on the left, at least: axes below each other line up
  right = 12;

  /**
   * @param {Record<string, Function>} kinds of marks that are drawn, as in marks.js
   * @param {{state: {brush: Uint8Array?}, rows?: import("./rows.js").Rows}} app what marks ask about rows
   * @param {string} tag of the element, with its class @param {object} attributes
   */
  constructor(kinds, app, tag, attributes) {
    Object.assign(this, { kinds, app, view: new View() });
    this.canvas = html("canvas", SILENT);
    this.element = html(tag, attributes, this.canvas);
  }

  update(spec) {
    this.spec = spec;
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
    this.targets = [];
    ctx.save();
    const { left, top, width: across, height: down } = this.view.box;
    ctx.beginPath();
    ctx.rect(left - 6, top - 6, across + 12, down + 7); // dots on the border are whole
    ctx.clip();
    ctx.translate(left, top);
    const scene = { ctx, view: this.view, style, app: this.app, ratio, find: (target) => this.targets.push(target) };
    for (const mark of spec.marks) this.kinds[mark.kind](mark, scene);
    this.over(ctx, style);
    ctx.restore();
    if (this.pointed) this.#ring(ctx, this.pointed, style);
  }

  /** What is drawn over the marks, in pixels of the plot. */
  over(_ctx, _style) {}

  /** Names of whole units in place of numbers; none here. */
  names(_ctx) {}

  #plan(width, height) {
    const { spec, view } = this;
    const top = spec.title || spec.y_title || spec.marks.some(({ label }) => label) ? 26 : 8;
    const foot = spec.x_title ? 38 : spec.ticks || spec.x_names.length ? 22 : 8;
    const down = Math.max(1, height - top - foot);
    const cells = spec.y_names.length > 0;
    const y = spec.ticks && !cells ? ticks(...[...spec.y_range].sort((a, b) => a - b), Math.max(3, down / 46)) : { values: [], format: String };
    const left = Math.max(this.left, cells ? room(spec.y_names) - 2 : spec.ticks ? room(y.values.map(y.format)) : 8);
    view.box = { left, top, width: Math.max(1, width - left - this.right), height: down };
    const [x0, x1] = spec.x_range;
    const most = spec.whole ? Math.max(1, Math.min(x1 - x0, view.box.width / 70)) : 0;
    const x = !spec.ticks || spec.x_names.length ? { values: [], format: String } : spec.whole ? ticks(x0, x1, most) : ticksAcross(x0, x1, view.box.width);
    return { x, y };
  }

  #axes(ctx, { x, y }, style) {
    const { spec, view } = this;
    const { left, top, width, height } = view.box;
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
    ctx.textBaseline = "top";
    ctx.textAlign = "center";
    for (const v of x.values) ctx.fillText(x.format(v), left + view.toScreen([v, 0])[0], top + height + 6);
    if (spec.x_names.length || spec.y_names.length) return this.names(ctx);
    ctx.strokeStyle = style.edge;
    if (!spec.ticks) return ctx.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    ctx.beginPath();
    ctx.moveTo(left, top + height + 0.5);
    ctx.lineTo(left + width, top + height + 0.5);
    ctx.stroke();
  }

  /** What is shown, above; the key on the right, as far as there is room. */
  #titles(ctx, width, style) {
    const { spec, view, kinds } = this;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    let at = spec.ticks ? Math.min(view.box.left - 8, 14) : 8;
    ctx.font = `500 12px ${style.family}`;
    for (const [words, face] of [[spec.title, style.ink], [spec.y_title && `↑ ${spec.y_title}`, style.quiet]]) {
      if (!words) continue;
      ctx.fillStyle = face;
      ctx.fillText(words, at, 13, Math.max(1, width - at - 8)); // narrower where there is no room
      at += ctx.measureText(words).width + 12;
    }
    ctx.font = `${FONT}px ${style.family}`;
    let right = width - this.right;
    for (const mark of [...spec.marks].reverse()) {
      if (!mark.label) continue;
      const long = ctx.measureText(mark.label).width;
      if (right - long - 18 < at) break;
      ctx.textAlign = "right";
      ctx.fillStyle = style.quiet;
      ctx.fillText(mark.label, right, 13);
      kinds.key(mark, { ctx, x: right - long - 14, y: 13, style });
      right -= long + 30;
    }
    if (!spec.x_title) return;
    ctx.textAlign = "right";
    ctx.fillStyle = style.quiet;
    ctx.fillText(`${spec.x_title} →`, width - this.right, view.box.top + view.box.height + 29);
  }

  /** Where a pointer is, in pixels of the plot. */
  place({ clientX, clientY }) {
    const { x, y } = this.element.getBoundingClientRect();
    return [clientX - x - this.view.box.left, clientY - y - this.view.box.top];
  }

  near([x, y]) {
    const { snap } = this.spec;
    let best = null;
    let least = snap === "x" ? Infinity : NEAR;
    for (const target of this.targets) {
      const dx = target.w ? Math.max(0, target.x - x, x - target.x - target.w) : Math.abs(x - target.x);
      const dy = target.h ? Math.max(0, target.y - y, y - target.y - target.h) : Math.abs(y - target.y);
      const far = snap === "x" ? dx + dy / 100 : Math.max(0, Math.hypot(dx, dy) - (target.r ?? 0));
      if (far < least || (far === least && far === 0)) [best, least] = [target, far];
    }
    return best;
  }

  #ring(ctx, target, style) {
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
}
