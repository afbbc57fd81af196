// The picture itself: a canvas of points, the overlay over it, and what pointers do there.
import { alone, combine, mark, nearest, within } from "../shared/brush.js";
import { focused, focusOn, html, set, KEYS_STAY, SILENT } from "../shared/dom.js";
import { pull, tip } from "../shared/ellipse.js";
import { shades as ramp, table } from "../shared/palette.js";
import { Raster } from "../shared/raster.js";
import { View, reach, room, ticks } from "../shared/view.js";
import { gestures } from "./gestures.js";
import { Overlay, SIGMA, summary } from "./overlay.js";

const MANY = 2e6; // above this, one point of eight is drawn while the view moves
const REST = 140; // ms without movement
const WHEEL = "Ctrl + wheel zooms, or click the plot first";
const PLACE = "Click where the new component goes (Esc cancels)";
const PAIR = "Choose the one to merge with, or press 1 again for the nearest (Esc cancels)";
const NEAR = 8; // pixels from a click to its row
const QUICK = 2e5; // rows that are marked while the line is still being drawn
const SHADES = 16;

export class Plot {
  #raster = new Raster();
  #drawn = null; // what the points were last drawn from
  #line = null; // the lasso being drawn, and what was marked before
  #tints = {}; // their labels with marks and shades, and what these were made from
  #rest = null;
  #grip = [0, 0];
  #room = 0;
  #roomOf = "";

  /** @param {import("./index.js").default} app */
  constructor(app) {
    this.app = app;
    this.view = new View();
    this.moving = false;
    this.asking = "";
    this.overlay = new Overlay();
    this.canvas = html("canvas.gl-points", SILENT);
    this.surface = html("div.gl-surface", { tabindex: 0, role: "group", "aria-roledescription": "plot",
      "aria-label": "Plot: arrows pan, plus and minus zoom", ...KEYS_STAY });
    this.hint = html("div.gl-hint", SILENT);
    this.empty = html("div.gl-empty", html("span.gl-spinner"), "Waiting for the kernel");
    this.element = html("div.gl-plot", this.canvas, this.overlay.element, this.surface, this.hint, this.empty);
    gestures(this);
  }

  // what gestures do; places are pixels of the plot

  /** Whether a press takes a handle; while a component is being added, that is a place like any other. */
  takes() {
    return !this.app.state.adding;
  }

  lassoes({ shiftKey }) {
    const { lasso, adding, merging } = this.app.state;
    return (lasso || shiftKey) && !adding && !merging;
  }

  pan(dx, dy) {
    this.move(() => this.view.pan(dx, dy));
  }

  zoom(factor, x, y) {
    this.move(() => this.view.zoom(factor, x, y));
  }

  hover(k) {
    this.app.hover(k);
  }

  scale(k, grow) {
    return this.app.scale(k ?? this.app.state.selected, grow);
  }

  add(place) {
    this.app.add(this.view.toData(place));
  }

  click(k, place) {
    if (this.app.state.adding) this.add(place);
    else this.app.click(k, this.rowAt(place));
  }

  drop() {
    this.app.held.release();
  }

  press(handle, place) {
    if (!handle) return focusOn(this.surface);
    const { app } = this;
    if (app.state.merging) return app.select(handle.k);
    app.select(handle.k);
    focusOn(this.overlay.handle(handle.k, handle.part));
    app.held.grab();
    const at = this.tipOf(handle);
    this.#grip = [place[0] - at[0], place[1] - at[1]]; // a handle taken at its edge does not jump
  }

  component(k) {
    return this.app.held.shown(this.app.state.components, this.view)[k];
  }

  tipOf({ k, part }) {
    const { mean, axes } = this.component(k);
    const [x, y] = this.view.toScreen(mean);
    if (part === "mean") return [x, y];
    const [dx, dy] = tip(axes, part, SIGMA);
    return [x + dx, y + dy];
  }

  drag({ k, part }, place, keep) {
    if (!this.app.state.components[k]) return;
    const at = [place[0] - this.#grip[0], place[1] - this.#grip[1]];
    if (part === "mean") return this.app.edit(k, { mean: this.view.toData(at) });
    const { mean, axes } = this.component(k);
    const [x, y] = this.view.toScreen(mean);
    this.app.edit(k, { axes: pull(axes, part, [at[0] - x, at[1] - y], SIGMA, keep, this.app.state.shape) });
  }

  /** Where the points are in the plot, which hold parts of their ranges. */
  map(scale = 1) {
    const { sx, sy, x, y } = this.view;
    const [[x0, x1], [y0, y1]] = this.ranges; // so that float32 has digits enough for data far from zero
    return { ax: (x1 - x0) * sx * scale, bx: (x0 - x[0]) * sx * scale, ay: (y1 - y0) * sy * scale, by: (y0 - y[1]) * sy * scale };
  }

  rowAt(place) {
    return this.app.state.points ? nearest(place, this.app.state.points, this.map(), NEAR) : null;
  }

  /** The row nearest to a place in the data. */
  rowNear(at) {
    return nearest(this.view.toScreen(at), this.app.state.points, this.map(), Infinity);
  }

  /** Where a row is drawn. */
  spot(row) {
    const { points } = this.app.state;
    if (row === null || !points || 2 * row >= points.length) return null;
    const { ax, bx, ay, by } = this.map();
    return [ax * points[2 * row] + bx, ay * points[2 * row + 1] + by];
  }

  /** The line as it is drawn; null when it is given up. */
  lasso(line, event) {
    const { app } = this;
    this.#line ??= line && { before: app.state.brush };
    if (line) Object.assign(this.#line, { line, event });
    else this.giveUp();
    app.change({ line });
  }

  lassoed(line, event) {
    if (!line || line.length < 3 || !this.app.state.points) return this.lasso(null);
    Object.assign(this.#line, { line, event });
    const marked = this.enclosed();
    this.#line = null;
    this.app.change({ line: null });
    this.app.mark(marked);
  }

  giveUp() {
    if (this.#line && this.#line.before !== this.app.state.brush) this.app.brush(this.#line.before);
    this.#line = null;
  }

  /** The rows that are marked if the line ends here. */
  enclosed() {
    const { before, line, event } = this.#line;
    const { points, n } = this.app.state;
    const how = event.altKey ? "take" : event.ctrlKey || event.metaKey ? "add" : "only";
    return combine(before, mark(new Uint8Array(n), points, this.map(), within(line)), how);
  }

  /** Once a drawing, so far as the rows are few enough not to hold it up. */
  preview({ points, n }) {
    const now = this.#line;
    if (!points || n > QUICK || !(now?.line.length > 2) || now.line.length === now.seen) return;
    now.seen = now.line.length;
    this.app.brush(this.enclosed());
  }

  show(ranges) {
    this.ranges = ranges;
    this.view.fit(ranges);
    this.unfitted = true; // the ellipses come with the next frame
    this.#drawn = null;
  }

  /** All points, and of the ellipses what lies near them. */
  fit() {
    if (this.ranges) this.move(() => this.fitNow());
  }

  fitNow() {
    this.unfitted = false;
    this.view.fit(reach(this.ranges, this.app.state.components, SIGMA));
  }

  middle() {
    return this.view.toData([this.view.box.width / 2, this.view.box.height / 2]);
  }

  move(change) {
    change();
    this.moving = true;
    this.settle();
    this.app.draw(false);
  }

  settle() {
    clearTimeout(this.#rest);
    if (!this.moving) return;
    this.#rest = setTimeout(() => {
      this.moving = false;
      this.app.draw(false);
      if (this.app.state.contours) this.app.look();
    }, REST);
  }

  hasFocus() {
    return focused(this.element) !== null;
  }

  focus(k, part = "mean") {
    const component = this.app.state.components[k];
    if (component && this.view.reveal(component.mean)) this.app.draw();
    focusOn(this.overlay.handle(k, part) ?? this.surface);
  }

  /** For a moment, unless the person is being told where to click. */
  showHint() {
    if (this.asking) return;
    set(this.hint, { text: WHEEL });
    this.hint.classList.add("is-shown");
    clearTimeout(this.hintTimer);
    this.hintTimer = setTimeout(() => this.hint.classList.remove("is-shown"), 1400);
  }

  /** What the next click is for. */
  ask({ adding, merging, lasso }) {
    this.element.classList.toggle("is-adding", adding || merging || lasso);
    const asking = adding ? PLACE : merging ? PAIR : "";
    if (asking === this.asking) return;
    this.asking = asking;
    clearTimeout(this.hintTimer);
    if (asking) set(this.hint, { text: asking });
    this.hint.classList.toggle("is-shown", Boolean(asking));
  }

  /** The points have other colours now. */
  restyle() {
    this.#drawn = null;
  }

  measure() {
    const { clientWidth, clientHeight } = this.element;
    const height = clientHeight - 28 - 48;
    const left = Math.max(clientWidth < 520 ? 46 : 58, this.labelRoom(height));
    this.view.box = { left, top: 28, width: clientWidth - left - 16, height };
  }

  /** What the labels of the y axis take; worked out again only when they change. */
  labelRoom(height) {
    const now = [height, ...this.view.y].join(" ");
    if (now !== this.#roomOf) {
      const { values, format } = ticks(...this.view.y, Math.max(2, height / 65));
      [this.#roomOf, this.#room] = [now, room(values.map(format))];
    }
    return this.#room;
  }

  draw(state, held) {
    this.empty.hidden = state.ready && state.n > 0;
    this.ask(state);
    set(this.element, { "data-few": state.n < 5000 ? "" : null }); // few points need no room made for lines
    this.preview(state);
    if (state.points) this.points(state);
    const names = state.dims.map((i) => state.names[i] ?? "");
    const spot = this.spot(state.row ?? state.card?.row ?? null);
    this.app.card.element.classList.toggle("is-left", Boolean(spot) && spot[0] > this.view.box.width / 2);
    this.overlay.draw(this.view, state.ready ? held.shown(state.components, this.view) : [], { ...state, names, spot });
  }

  /** Repaints the points if anything they depend on has changed. */
  points({ points, labels, components, theme, hues, n, play, brush, shades }) {
    const { box } = this.view;
    labels = this.tinted(labels, brush, shades, components.length);
    const fine = !this.moving && !(play === "playing" && n > 5e5);
    const scale = fine ? Math.min(2, devicePixelRatio || 1) : 1;
    const stride = this.moving && n > MANY ? 8 : 1;
    const { sx, sy, x, y } = this.view;
    const known = [points, labels, components.length, theme, hues, scale, stride, sx, sy, x[0], y[1]];
    if (this.#drawn?.every((value, i) => value === known[i])) return;
    this.#drawn = known;
    const [width, height] = [Math.max(1, Math.round(box.width * scale)), Math.max(1, Math.round(box.height * scale))];
    this.#raster.resize(width, height);
    const colours = shades ? ramp(SHADES, theme) : table(components.length, theme, hues, Boolean(brush));
    const image = this.#raster.draw(points, labels, colours, this.map(scale), { stride, scale });
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    set(this.canvas, { style: `left:${box.left}px;top:${box.top}px;width:${box.width}px;height:${box.height}px` });
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** Labels as they are drawn: shades in their place, and none where a row is not marked. */
  tinted(labels, brush, shades, k) {
    if (!brush && !shades) return labels;
    const from = [labels, brush, shades, k];
    if (!this.#tints.from?.every((each, i) => each === from[i])) {
      const base = shades ? shades.map((v) => v >> 4) : labels;
      this.#tints = { from, labels: brush && base ? alone(base, brush, k) : base };
    }
    return this.#tints.labels;
  }

  describe(state) {
    return summary({ ...state, names: state.dims.map((i) => state.names[i] ?? "") });
  }

  close() {
    clearTimeout(this.#rest);
    clearTimeout(this.hintTimer);
    this.#raster = null;
  }
}
