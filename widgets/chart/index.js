// The view of every widget that shows a chart: its frames and tables, its controls, and what is pointed at in them.
import { marked, pack } from "../shared/brush.js";
import { Controls } from "../shared/controls.js";
import { html, set } from "../shared/dom.js";
import { Frame } from "../shared/frame.js";
import { usesKey } from "../shared/keyboard.js";
import { Panel, bytes, floats, widget } from "../shared/panel.js";
import { Rows } from "../shared/rows.js";
import { Table } from "../shared/table.js";
import { count, number } from "../shared/view.js";
import { Latest } from "../shared/wire.js";

const KINDS = { frame: Frame, table: Table };

export class ChartPanel extends Panel {
  #parts = [];
  #places = new Map();
  #painted = 0; // the number of the latest message that painted rows

  constructor(model, el) {
    super(model, el, "chart", { brush: null, grid: [], alt: "", note: "", controls: [] });
    this.rows = new Rows();
    this.latest = new Latest(this.wire);
    this.heading = html("span.gl-heading");
    this.controls = new Controls((name, value) => this.latest.put("control", { name, value }));
    this.bar = html("div.gl-toolbar.gl-chart-bar", this.heading, this.controls.element);
    this.grid = html("div.gl-chart-grid");
    this.note = html("p.gl-chart-note");
    this.tip = html("div.gl-tip", { hidden: "" });
    this.body = html("div.gl-chart-body", this.grid, this.tip, this.status.strip,
      (this.empty = html("div.gl-empty", html("span.gl-spinner"), "Waiting for the kernel")));
  }

  content() {
    set(this.heading, { text: this.model.get("title") ?? "" });
    return [this.bar, this.body, this.note];
  }

  opened() {
    set(this.root, { keydown: (event) => {
      const taken = event.defaultPrevented || event.ctrlKey || event.metaKey || usesKey(event.target, event.key);
      if (!taken && this.controls.press(event.key)) event.preventDefault();
    } });
  }

  get stage() {
    return this.body;
  }

  told({ brush, row }) {
    if (brush !== undefined) this.change({ brush });
    if (row !== undefined) this.change({ row });
  }

  tell(what) {
    this.change(what);
    this.bus.tell(what);
  }

  hear(message, buffers) {
    if (message.type === "rows") this.rows.take(message, floats(buffers[0]));
    if (message.type === "image") this.picture(buffers);
    if (message.type === "brush") this.tell({ brush: buffers.length ? bytes(buffers[0]).slice() : null });
  }

  /** What lies under the rows; none without a buffer. */
  async picture([png]) {
    this.image = png ? await createImageBitmap(new Blob([png], { type: "image/png" })) : null;
    this.draw();
  }

  show({ chart, controls, k }, buffers) {
    if (!chart) return;
    if (this.#painted && !this.wire.waitsFor(this.#painted)) this.#painted = this.rows.paint(null);
    Object.assign(this.state, chart, { controls });
    if (buffers.length) {
      const [labels, ...others] = buffers.map((each) => bytes(each).slice());
      this.rows.label(labels, k, others);
    }
    const parts = chart.grid.flat();
    if (parts.map(({ kind }) => kind).join() !== this.#parts.map(({ spec }) => spec.kind).join()) this.#build(chart.grid);
    parts.forEach((spec, i) => this.#parts[i].update(spec));
  }

  #build(grid) {
    let index = 0;
    this.#parts = [];
    this.grid.replaceChildren(...grid.map((row) => {
      const parts = row.map(({ kind }) => new KINDS[kind](this, index++));
      this.#parts.push(...parts);
      return html("div.gl-chart-row", ...parts.map(({ element }) => element));
    }));
  }

  answered() {
    this.latest.flush();
  }

  measure() {
    for (const part of this.#parts) part.measure();
  }

  paint(everything) {
    const { ready, connected, controls, note } = this.state;
    for (const part of this.#parts) part.paint(this.style);
    if (!everything) return;
    this.empty.hidden = ready;
    this.controls.update(controls, ready && connected, this.style);
    set(this.note, { text: note });
    this.note.hidden = !note;
  }

  facts() {
    const { brush, step } = this.state;
    const rows = brush ? marked(brush) : 0;
    return [...(step ? [`step ${step}`] : []), ...(rows ? [`${count(rows)} rows marked`] : [])];
  }

  words() {
    return this.state.alt;
  }

  // what the person does

  /** Something is pointed at: its words beside it, and its row marked in the other panels. */
  point(frame, target) {
    this.tip.hidden = !target?.words;
    if (target?.words) {
      const [x, y] = frame.spot(target);
      set(this.tip, { text: target.words, style: "left:0" });
      const half = this.tip.offsetWidth / 2 + 4; // with these words, where there is room
      const left = Math.max(half, Math.min(this.body.clientWidth - half, frame.element.offsetLeft + x));
      set(this.tip, { style: `left:${left}px;top:${frame.element.offsetTop + y}px` });
      this.status.say(target.words);
    }
    if (target?.row !== this.state.row) this.bus.tell({ row: target?.row ?? null });
    this.draw(false);
  }

  pick(frame, pick, action = "") {
    this.wire.send("pick", { frame, pick, action });
  }

  place(frame, [x, y]) {
    this.#places.set(frame, [x, y]);
    this.latest.put("place", { frame, x, y });
  }

  placed(frame) {
    return this.#places.get(frame);
  }

  /** While rows are being chosen: all panels show it, or they are painted here; the kernel hears of it in the end. */
  brush(mask, paint = null) {
    if (paint === null) return this.tell({ brush: mask });
    this.rows.paint(mask, paint);
    this.draw(false);
  }

  brushed(frame, mask, paint = null) {
    if (!mask) this.tell({ brush: null });
    const seq = this.wire.send("brush", { frame, mask: pack(mask) });
    if (paint !== null) this.#painted = seq;
  }

  stroke(frame, fields) {
    this.wire.send("stroke", { frame, ...fields });
  }

  /** Where keys have moved a tool. */
  say(place) {
    this.status.say(place.map((value) => number(value, 3)).join(", "));
  }

  leave() {
    this.rows = this.image = null;
  }
}

export default widget(ChartPanel);
