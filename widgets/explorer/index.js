// The Explorer's view: points, ellipses to take by hand, a fit to play, step and undo.
// It draws what the kernel says and says what the person does; it computes nothing about mixtures.
import { marked, pack } from "../shared/brush.js";
import { focused, focusOn, html, set } from "../shared/dom.js";
import { Panel, bytes, floats, widget } from "../shared/panel.js";
import { count, number } from "../shared/view.js";
import { Edits } from "../shared/wire.js";
import { Card } from "./card.js";
import { Chosen } from "./chosen.js";
import { Held } from "./held.js";
import { help } from "./help.js";
import { keys } from "./keys.js";
import { fromFrame, goesOn, initial } from "./state.js";
import { Plot } from "./plot.js";
import { Strip } from "./strip.js";
import { toolbar } from "./toolbar.js";

class Explorer extends Panel {
  constructor(model, el) {
    super(model, el, "explorer", initial(model));
    this.edits = new Edits(this.wire);
    this.held = new Held(this.edits, () => this.draw());
    this.bar = toolbar(this.actions(), (axis, column) => this.choose(axis, column));
    this.plot = new Plot(this);
    this.strip = new Strip(this);
    this.help = help(() => this.toggleHelp(false));
    this.card = new Card((row) => this.turnTo(row));
    this.chosen = new Chosen({ split: () => this.split(), merge: () => this.merge(), pin: (pins) => this.pin(pins) });
    this.note = html("p.gl-sentence");
  }

  content() {
    set(this.plot.surface, { "aria-describedby": this.summary.id });
    this.plot.element.append(this.chosen.element, this.card.element, this.help.element, this.status.strip);
    return [this.bar.element, this.note, this.plot.element, this.strip.element];
  }

  get stage() {
    return this.plot.element;
  }

  opened() {
    keys(this);
    this.on("change:selected", () => this.change({ selected: this.model.get("selected") ?? null }));
    this.on("change:strip", () => this.retheme());
    this.on("change:note", () => this.change({ note: this.model.get("note") }));
  }

  told(what) {
    for (const name of ["hover", "row", "brush"]) if (what[name] !== undefined) this.change({ [name]: what[name] });
  }

  hear(message, buffers) {
    if (message.type === "brush") this.brush(buffers.length ? bytes(buffers[0]).slice() : null);
    if (message.type !== "points") return;
    const { dims, names, n, gaps = 0, borders = [null, null], truth = [] } = message;
    Object.assign(this.state, { dims, names, n, gaps, borders, truth, points: floats(buffers[0]), labels: null, shades: null, contours: null });
    this.held.drop();
    this.plot.show(message.ranges);
  }

  show(message, buffers) {
    const { state } = this;
    const before = state.components.length;
    Object.assign(state, fromFrame(message, buffers));
    this.held.settle(state.components, state.play);
    this.keepSelection(before);
    if (this.plot.unfitted && state.components.length) this.plot.fitNow();
  }

  answered() {
    this.edits.flush();
  }

  /** After components came or went: the new one is selected; focus does not fall out of the widget. */
  keepSelection(before) {
    const { state } = this;
    const k = state.components.length;
    if (k > before && this.expecting) this.select(k - 1, this.hasFocus());
    if (k !== before) this.expecting = state.merging = false;
    if (state.selected !== null && state.selected >= k) this.select(k ? k - 1 : null, this.hasFocus());
  }

  measure() {
    this.plot.measure();
    this.strip.measure();
  }

  paint(everything) {
    const { state } = this;
    this.plot.draw(state, this.held);
    if (!everything) return;
    this.strip.draw(state, this.plot.view.box.left, this.style);
    this.bar.update(state);
    this.card.update(state);
    this.chosen.update(state);
    set(this.note, { text: state.note });
    this.note.hidden = !state.note;
  }

  painted() {
    if (this.asked && this.state.card) {
      this.asked = false;
      focusOn(this.card.input);
    }
    if (this.focusNext) this.plot.focus(...this.focusNext);
    this.focusNext = null;
  }

  facts() {
    const { step, evidence, n, components, brush } = this.state;
    if (n === 0) return [];
    const likelihood = evidence === null ? [] : [`mean log-likelihood ${number(evidence, 6)}`];
    const many = `${components.length} component${components.length === 1 ? "" : "s"}`;
    const rows = brush ? [`${count(marked(brush))} rows marked`] : [];
    return [`step ${step}`, ...likelihood, many, ...rows, `${count(n)} points`];
  }

  words() {
    return this.plot.describe(this.state);
  }

  restyled() {
    this.strip.element.hidden = this.model.get("strip") === false;
    this.plot.restyle();
  }

  // what the person does

  actions() {
    const send = (op) => () => this.wire.send(op);
    return {
      play: () => this.wire.send(goesOn(this.state.play) ? "pause" : "play"),
      step: send("step"), back: send("back"), e: send("estep"), m: send("mstep"), stop: send("stop"), reset: send("reset"),
      add: (event) => this.startAdding(event), remove: () => this.remove(this.state.selected), reseed: () => this.reseed(),
      lasso: () => this.change({ lasso: !this.state.lasso, adding: false, merging: false }),
      contours: () => this.toggleContours(),
      uncertainty: () => this.wire.send("set", { name: "color_by", value: this.state.shades ? "component" : "uncertainty" }),
      fit: () => this.plot.fit(), help: () => this.toggleHelp(this.help.element.hidden),
    };
  }

  select(k, focus = false, part = "mean") {
    if (this.state.merging) return this.mergeWith(k);
    if (k !== this.state.selected) {
      this.state.selected = k;
      this.wire.send("set", { name: "selected", value: k });
    }
    if (focus) this.focusNext = [k, part];
    this.draw();
  }

  /** A click on nothing takes selection, card and marks away. */
  click(k, row) {
    const { merging, brush, card } = this.state;
    this.select(k);
    if (merging) return;
    if (row !== null || card) this.turnTo(row);
    if (k === null && row === null && brush) this.mark(null);
  }

  /** The card of a row, or none. */
  turnTo(row) {
    if (row === null && focused(this.card.element)) focusOn(this.plot.surface);
    if (row === null) this.change({ card: null });
    this.bus.tell({ row });
    this.wire.send("row", { row });
  }

  /** The card of the row in the middle, by keyboard: its number can be changed there. */
  inspect() {
    const { card, points, selected, components } = this.state;
    if (!points) return;
    if (!card) this.turnTo(this.plot.rowNear(selected === null ? this.plot.middle() : components[selected].mean));
    this.asked = true;
    this.draw();
  }

  brush(brush) {
    this.change({ brush });
    this.bus.tell({ brush });
  }

  /** Rows are marked here: all panels show it at once, and the kernel is told. */
  mark(brush) {
    this.brush(brush);
    this.wire.send("brush", { mask: pack(brush) });
  }

  markSelected() {
    const { labels, selected } = this.state;
    this.mark(labels && selected !== null ? labels.map((k) => (k === selected ? 1 : 0)) : null);
  }

  /** Where the page looks, and a little more, for the contours. */
  look() {
    const wider = ([low, high]) => [low - 0.2 * (high - low), high + 0.2 * (high - low)];
    this.wire.send("set", { name: "view", value: [wider(this.plot.view.x), wider(this.plot.view.y)] });
  }

  toggleContours() {
    if (!this.state.contours) this.look();
    this.wire.send("set", { name: "contours", value: !this.state.contours });
  }

  split() {
    if (this.state.selected !== null) this.wire.send("split", { k: this.state.selected });
  }

  /** Then the other one is chosen; asked again, it is the nearest. */
  merge() {
    const { selected, merging, components } = this.state;
    if (selected === null || components.length < 2) return;
    if (!merging && components.length > 2) return this.change({ merging: true, adding: false });
    this.state.merging = false;
    this.wire.send("merge", { k: selected });
    this.select(null);
  }

  mergeWith(k) {
    const { selected } = this.state;
    this.change({ merging: false });
    if (k === null || k === selected) return;
    this.wire.send("merge", { k: selected, other: k });
    this.select(Math.min(k, selected));
  }

  /** The selected component, or all of them, at other rows. */
  reseed() {
    this.held.drop();
    this.wire.send("reseed", { k: this.state.selected });
  }

  pin(pins) {
    this.wire.send("pin", { k: this.state.selected, pins });
  }

  /** True if there is one to scale. */
  scale(k, grow) {
    if (!this.state.components[k]) return false;
    const { axes } = this.plot.component(k);
    this.edit(k, { axes: { ...axes, a: axes.a * grow, b: axes.b * grow } });
    return true;
  }

  hover(k) {
    if (k === this.state.hover) return;
    this.change({ hover: k });
    this.bus.tell({ hover: k });
  }

  /** A component was moved or reshaped here: shown at once, told to the kernel as it can take it. */
  edit(k, change) {
    if (this.state.connected) this.held.change(k, change, this.plot.view);
  }

  add(mean) {
    if (!this.state.connected || !this.state.ready) return;
    this.expecting = true;
    this.change({ adding: false });
    this.wire.send("add", { mean });
  }

  /** With the pointer the next click is the place; from the keyboard it is the middle of the view. */
  startAdding(event) {
    if (event.detail === 0) this.add(this.plot.middle());
    else this.change({ adding: !this.state.adding, merging: false });
  }

  remove(k) {
    if (k === null || this.state.components.length < 2) return;
    this.held.drop();
    const focus = this.hasFocus();
    this.wire.send("remove", { k });
    this.select(null);
    if (focus) focusOn(this.plot.surface);
  }

  choose(axis, column) {
    const dims = [...this.state.dims];
    if (dims[1 - axis] === column) {
      dims[1 - axis] = dims[axis];
      this.status.tell("The two columns have changed places.", () => this.draw());
    }
    dims[axis] = column;
    this.wire.send("set", { name: "dims", value: dims });
  }

  toggleHelp(open) {
    this.help.element.hidden = !open;
    set(this.bar.buttons.help, { "aria-expanded": open });
    focusOn(open ? this.help.button : this.bar.buttons.help);
  }

  refused(sentence) {
    this.held.drop();
    this.expecting = false;
    super.refused(sentence);
  }

  leave() {
    this.plot.close();
    this.held.drop();
    Object.assign(this.state, { points: null, labels: null, shades: null, brush: null });
  }
}

export default widget(Explorer);
