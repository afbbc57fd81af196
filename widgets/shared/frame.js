// One frame of a chart: axes with marks, what a pointer or a key finds there, and what it is told then.
import { Axes } from "./axes.js";
import { mark, nearest } from "./brush.js";
import { TOOLS, drops, ends, thinned } from "./tools.js";
import { set, KEYS_STAY } from "./dom.js";
import { MARKS, tone } from "./marks.js";
import { nudge } from "./keyboard.js";

const NEAR = 14; // pixels from an element that finds it
const MOVED = 4; // pixels that make a drag of a click

const HINTS = {
  box: "Arrows move the cursor; Space sets one corner, then the other.",
  lasso: "Arrows move the cursor; Space sets corners, Enter closes the lasso.",
  round: "Arrows move the brush, Space sets it down, Enter chooses.",
  line: "Arrows move the cursor; Space sets the beginning, then the end.",
  row: "Arrows move the cursor, Space takes the nearest row.",
};

export class Frame extends Axes {
  #drag = null; // where it began, and the path of the tool once it has moved
  #wet = []; // drops that have not been shown as rows yet
  #cursor = null; // where the tool is, whether keys have put it there

  /** @param {import("../chart/index.js").ChartPanel} app @param {number} index among the frames of the chart */
  constructor(app, index) {
    super(MARKS, app, "div.gl-frame", { tabindex: 0, role: "group", "aria-roledescription": "chart", ...KEYS_STAY });
    this.index = index;
    set(this.element, {
      pointerdown: (event) => this.#down(event),
      pointermove: (event) => this.#move(event),
      pointerup: (event) => this.#up(event),
      pointercancel: () => this.#drop(),
      pointerleave: ({ pointerType }) => !this.#drag && this.#away(pointerType === "touch"),
      keydown: (event) => this.#key(event),
      blur: () => {
        if (this.#drag && !this.#drag.keys) return; // the pointer is still held
        this.#drop();
        this.#away();
      },
    });
  }

  update(spec) {
    super.update(spec);
    if (!this.#drag) this.#wet = [];
    const hint = spec.brush && this.#drawsWithKeys && HINTS[spec.brush];
    set(this.element, { "aria-description": hint || null, "aria-label": [spec.title, spec.y_title, spec.x_title && `against ${spec.x_title}`].filter(Boolean).join(" ") || spec.name || this.app.title,
      style: `height:${spec.height}px;flex:1 1 ${spec.width}px`, "data-acts": spec.place || spec.brush ? "" : null,
      "data-picks": spec.pick === null ? null : "" });
  }

  over(ctx, style) {
    if (this.spec.brush) this.#drawBrush(ctx, style);
  }

  names(ctx) {
    const { spec, view } = this;
    const { left, top, width, height } = view.box;
    const some = (names, need, room) => (_, i) => i % Math.max(1, Math.ceil((need * names.length) / room)) === 0;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    spec.y_names.map((name, i) => [name, i]).filter(some(spec.y_names, 12, height))
      .forEach(([name, i]) => ctx.fillText(name, left - 7, top + view.toScreen([0, i + 0.5])[1]));
    ctx.textBaseline = "top";
    ctx.textAlign = "center";
    const widest = Math.max(0, ...spec.x_names.map((name) => ctx.measureText(name).width));
    spec.x_names.map((name, j) => [name, j]).filter(some(spec.x_names, widest + 6, width))
      .forEach(([name, j]) => ctx.fillText(name, left + view.toScreen([j + 0.5, 0])[0], top + height + 5));
  }

  // pointing

  #down(event) {
    if (event.button > 0) return;
    const at = this.place(event);
    this.#drop();
    this.#drag = { from: at, since: performance.now(), path: null, mask: null };
    if (this.spec.place || this.spec.brush) this.element.setPointerCapture(event.pointerId);
    if (this.spec.flow) {
      this.#hold(at, false);
      this.#extend(at);
    }
    if (this.spec.place) this.#say(at);
  }

  #move(event) {
    const at = this.place(event);
    if (this.#drag && this.spec.place) return this.#say(at);
    if (this.spec.brush) this.#hold(at, false);
    if (this.#drag && this.spec.flow) return; // its path is told by the clock
    if (this.#drag && !this.#drag.keys && this.spec.brush) {
      if (this.#drag.path || Math.hypot(at[0] - this.#drag.from[0], at[1] - this.#drag.from[1]) > MOVED) this.#extend(at);
      return;
    }
    this.#point(this.near(at));
  }

  #up(event) {
    const drag = this.#drag;
    if (!drag) return;
    if (drag.path) return this.#finish();
    const at = this.place(event);
    if (event.pointerType === "touch") this.#point(this.near(at)); // a finger does not hover: what it taps is told
    this.#click(at);
  }

  /** A click chooses what is there to be chosen; elsewhere it is the shortest stroke, or lets the marked rows go. */
  #click(at) {
    const { brush, place } = this.spec;
    const target = this.near(at);
    if (brush && TOOLS[brush].clicks && target?.pick === undefined) {
      this.#drag ??= { from: at, since: performance.now() };
      this.#extend(at);
      return this.#finish();
    }
    this.#drag = null;
    if (brush && this.app.state.brush && target?.pick === undefined) return this.app.brushed(this.index, null);
    if (!place) this.#choose(target);
  }

  // the tool: rows that it touches are marked at once, the kernel hears of them in the end

  #extend(at) {
    const { spec, app } = this;
    const drag = this.#drag;
    drag.path = !drag.path || ends(spec.brush) ? [drag.from, at] : [...drag.path, at];
    if (spec.path) return app.draw(false);
    const points = spec.marks.find(({ kind }) => kind === "points");
    if (!drag.mask || !TOOLS[spec.brush].adds) drag.mask = new Uint8Array(app.rows.n);
    else drag.mask = drag.mask.slice(); // what is shown is told from the next by what it is, not by what it holds
    if (points && spec.brush === "row") {
      const row = nearest(at, app.rows.pair(points.dims), app.rows.map(points.dims, this.view), 2 * NEAR);
      if (row !== null) drag.mask[row] = 1;
      return; // one row is no crowd to set apart from the others
    }
    const touched = TOOLS[spec.brush].touches(drag.path, spec.radius);
    if (points) mark(drag.mask, app.rows.pair(points.dims), app.rows.map(points.dims, this.view), touched);
    else for (const { x, y, row } of this.targets) if (row !== undefined && touched(x, y)) drag.mask[row] = 1;
    app.brush(drag.mask, spec.paint);
  }

  #finish() {
    const { spec, app, view } = this;
    const { path, mask, since } = this.#drag;
    this.#drag = null;
    if (!spec.path) return app.brushed(this.index, mask, spec.paint);
    const radius = [spec.radius / view.sx, -spec.radius / view.sy];
    app.stroke(this.index, { path: thinned(path).map((at) => view.toData(at)), radius, seconds: (performance.now() - since) / 1000 });
  }

  /** A stroke that comes to nothing. */
  #drop() {
    if (this.#drag?.mask && this.spec.brush !== "row") this.app.brush(null, this.spec.paint);
    this.#drag = null;
  }

  #hold(at, keys) {
    this.#cursor = { at, keys };
    this.app.draw(false);
  }

  /** A finger that is lifted leaves what it has pointed at. */
  #away(lifted = false) {
    this.#cursor = null;
    if (!lifted) this.#point(null);
    if (this.spec?.brush) this.app.draw(false);
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

  #point(target) {
    if (target === this.pointed) return;
    this.pointed = target;
    this.app.point(this, target);
  }

  /** Where the words of what is pointed at go, in this element. */
  spot({ x, y, w = 0 }) {
    return [this.view.box.left + x + w / 2, this.view.box.top + y];
  }

  #drawBrush(ctx, style) {
    const { brush, radius, paint } = this.spec;
    const path = this.#drag?.path;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = (paint ?? -1) < 0 ? style.line : tone(paint, style);
    if (path && (brush !== "round" || this.spec.path)) {
      ctx.beginPath();
      TOOLS[brush].trace(ctx, path, radius);
      ctx.globalAlpha = 0.14;
      if (brush === "round") ctx.stroke();
      else ctx.fill();
      ctx.globalAlpha = 1;
      if (brush !== "round") ctx.stroke();
    }
    if (path && this.spec.flow && this.#cursor) this.#spray(this.#cursor.at);
    for (const [x, y] of this.#wet) ctx.fillRect(x - 1.5, y - 1.5, 3, 3);
    if (this.#cursor) {
      const { at: [x, y], keys } = this.#cursor;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      if (this.#sized) ctx.arc(x, y, radius, 0, 2 * Math.PI);
      if (keys) for (const [dx, dy] of [[1, 0], [0, 1]]) {
        ctx.moveTo(x - 5 * dx, y - 5 * dy);
        ctx.lineTo(x + 5 * dx, y + 5 * dy);
      }
      ctx.stroke();
    }
    ctx.restore();
  }

  /** As many drops as are due since the last drawing; there will be another one while the brush is held. */
  #spray(at) {
    this.#drag.path.push(at);
    const due = Math.floor(((performance.now() - this.#drag.since) / 1000) * this.spec.flow);
    this.#wet.push(...drops(at, this.spec.radius, Math.min(400, due - (this.#drag.drops ?? 0))));
    this.#drag.drops = due;
    this.app.draw(false);
  }

  /** Tools that are as big as their radius. */
  get #sized() {
    return this.spec.brush === "round" || (this.spec.brush === "line" && this.spec.radius > 0);
  }

  /** Keys move a tool where there is nothing else to walk to. */
  get #drawsWithKeys() {
    return this.spec.brush !== "box" || !this.targets.length;
  }

  // keys: arrows walk from element to element, Enter chooses; or arrows move the tool, Space sets it down

  #key(event) {
    const by = nudge(event, 1);
    if (this.spec.brush && this.#drawsWithKeys) return this.#keyBrush(event);
    if (event.key === "Enter" || event.key === " ") this.#choose(this.pointed);
    else if (!by) return;
    else if (this.spec.place) this.#nudgePlace(nudge(event, 8));
    else this.#walk(by);
    event.preventDefault();
  }

  #keyBrush(event) {
    const by = nudge(event, 8);
    const { width, height } = this.view.box;
    const at = this.#cursor?.at ?? [width / 2, height / 2];
    if (by) {
      const [x, y] = at.map((v, i) => Math.max(0, Math.min([width, height][i], v + by[i])));
      this.#hold([x, y], true);
      if (this.#drag?.keys) this.#reach([...this.#drag.set, [x, y]]);
      else this.#point(this.near([x, y]));
      this.app.say(this.view.toData([x, y]));
    } else if (event.key === " ") {
      this.#hold(at, true);
      this.#set(at);
    } else if (event.key === "Enter" && this.#drag?.keys) this.#finish();
    else if (event.key === "Enter") this.#choose(this.near(at));
    else if (event.key === "Escape" && this.#drag) {
      this.#drop();
      this.app.draw(false);
    } else return;
    event.preventDefault();
  }

  /** One more place of a stroke that is made of places, or all of it. */
  #set(at) {
    const { presses } = TOOLS[this.spec.brush];
    if (presses === 1) return this.#click(at);
    this.#drag ??= { from: at, since: performance.now(), keys: true, set: [] };
    this.#drag.set.push(at);
    this.#reach(this.#drag.set);
    if (this.#drag.set.length === presses) this.#finish();
  }

  #reach(path) {
    this.#drag.path = path.slice(0, -1);
    if (!this.#drag.path.length) this.#drag.path = null;
    this.#extend(path.at(-1));
  }

  #nudgePlace([dx, dy]) {
    const [x, y] = this.view.toScreen(this.app.placed(this.index) ?? this.spec.at ?? [this.spec.x_range[0], this.spec.y_range[0]]);
    this.#say([x + dx, y + dy]);
  }

  #walk([dx, dy]) {
    const here = this.pointed ?? null;
    if (!here) return this.#point(this.targets[0] ?? null);
    let best = null;
    let least = Infinity;
    for (const target of this.targets) {
      const [ex, ey] = [target.x - here.x, target.y - here.y];
      const along = ex * Math.sign(dx) + ey * Math.sign(dy);
      const across = Math.abs(dx ? ey : ex);
      const far = along + (this.spec.snap === "x" && dx ? 0.01 : 3) * across;
      if (target !== here && along > 0.01 && far < least) [best, least] = [target, far];
    }
    if (best) this.#point(best);
  }
}
