// The Explorer's view: points, ellipses to take by hand, a fit to play, step and undo.
// It draws what the kernel says and says what the person does; it computes nothing about mixtures.
import { set } from "../shared/dom.js";
import { Panel, floats, widget } from "../shared/panel.js";
import { number } from "../shared/view.js";
import { Edits } from "../shared/wire.js";
import { Chart } from "./chart.js";
import { Held } from "./held.js";
import { help } from "./help.js";
import { keys } from "./keys.js";
import { fromFrame, initial } from "./state.js";
import { Plot } from "./plot.js";
import { toolbar } from "./toolbar.js";

class Explorer extends Panel {
  constructor(model, el) {
    super(model, el, "explorer", initial(model));
    this.edits = new Edits(this.wire);
    this.held = new Held(this.edits, () => this.draw());
    this.bar = toolbar(this.actions(), (axis, column) => this.choose(axis, column));
    this.plot = new Plot(this);
    this.chart = new Chart((step) => this.wire.send("seek", { step }), () => this.draw());
    this.help = help(() => this.toggleHelp(false));
  }

  content() {
    set(this.plot.surface, { "aria-describedby": this.summary.id });
    this.plot.element.append(this.help.element, this.status.strip);
    return [this.bar.element, this.plot.element, this.chart.element];
  }

  get stage() {
    return this.plot.element;
  }

  opened() {
    keys(this);
    this.on("change:selected", () => this.change({ selected: this.model.get("selected") ?? null }));
  }

  told({ hover }) {
    if (hover !== undefined) this.change({ hover });
  }

  hear(message, buffers) {
    if (message.type !== "points") return;
    const { dims, names, n, gaps = 0, borders = [null, null] } = message;
    Object.assign(this.state, { dims, names, n, gaps, borders, points: floats(buffers[0]), labels: null });
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
    if (k !== before) this.expecting = false;
    if (state.selected !== null && state.selected >= k) this.select(k ? k - 1 : null, this.hasFocus());
  }

  measure() {
    this.plot.measure();
    this.chart.measure();
  }

  paint(everything) {
    const { state, style } = this;
    this.plot.draw(state, this.held);
    if (!everything) return;
    this.chart.draw({ trace: state.trace, step: state.step, left: this.plot.view.box.left, style });
    this.bar.update(state);
  }

  painted() {
    if (this.focusNext) this.plot.focus(...this.focusNext);
    this.focusNext = null;
  }

  facts() {
    const { step, evidence, n, components } = this.state;
    if (n === 0) return [];
    const likelihood = evidence === null ? [] : [`mean log-likelihood ${number(evidence, 6)}`];
    const count = `${components.length} component${components.length === 1 ? "" : "s"}`;
    return [`step ${step}`, ...likelihood, count, `${n.toLocaleString("en")} points`];
  }

  words() {
    return this.plot.describe(this.state);
  }

  restyled() {
    this.plot.restyle();
  }

  // what the person does

  actions() {
    const send = (op) => () => this.wire.send(op);
    return {
      play: () => this.wire.send(this.state.play === "playing" ? "pause" : "play"),
      step: send("step"), back: send("back"), e: send("estep"), m: send("mstep"), stop: send("stop"), reset: send("reset"),
      add: (event) => this.startAdding(event), remove: () => this.remove(this.state.selected),
      fit: () => this.plot.fit(), help: () => this.toggleHelp(this.help.element.hidden),
    };
  }

  select(k, focus = false, part = "mean") {
    if (k !== this.state.selected) {
      this.state.selected = k;
      this.wire.send("set", { name: "selected", value: k });
    }
    if (focus) this.focusNext = [k, part];
    this.draw();
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
    else this.change({ adding: !this.state.adding });
  }

  remove(k) {
    if (k === null || this.state.components.length < 2) return;
    this.held.drop();
    const focus = this.hasFocus();
    this.wire.send("remove", { k });
    this.select(null);
    if (focus) this.plot.surface.focus({ preventScroll: true });
  }

  choose(axis, column) {
    const dims = [...this.state.dims];
    if (dims[1 - axis] === column) dims[1 - axis] = dims[axis];
    dims[axis] = column;
    this.wire.send("set", { name: "dims", value: dims });
  }

  toggleHelp(open) {
    this.help.element.hidden = !open;
    set(this.bar.buttons.help, { "aria-expanded": String(open) });
    (open ? this.help.button : this.bar.buttons.help).focus({ preventScroll: true });
  }

  refused(sentence) {
    this.held.drop();
    this.expecting = false;
    super.refused(sentence);
  }

  leave() {
    this.plot.close();
    this.held.drop();
    Object.assign(this.state, { points: null, labels: null });
  }
}

export default widget(Explorer);
