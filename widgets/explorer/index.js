// The Explorer's view: points, ellipses to take by hand, a fit to play, step and undo.
// It draws what the kernel says and says what the person does; it computes nothing about mixtures.
import { html, set, uid } from "../shared/dom.js";
import { join } from "../shared/bus.js";
import { keepKeys } from "../shared/keyboard.js";
import { resolve, watch } from "../shared/theme.js";
import { Edits, Wire } from "../shared/wire.js";
import { Chart } from "./chart.js";
import { Held } from "./held.js";
import { help } from "./help.js";
import { keys } from "./keys.js";
import { floats, fromFrame, initial } from "./state.js";
import { Plot } from "./plot.js";
import { Status } from "./status.js";
import { toolbar } from "./toolbar.js";

class Explorer {
  #pending = 0;
  #stale = true; // whether more than the view has changed since the last drawing
  #unpainted = []; // frames to acknowledge once they are on the screen
  #undo = [];

  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.state = initial(model);
    this.wire = new Wire(model, {
      changed: () => this.draw(), refused: (sentence) => this.refused(sentence), gone: () => this.change({ connected: false }),
    });
    this.edits = new Edits(this.wire);
    this.held = new Held(this.edits, () => this.draw());
    this.status = new Status();
    this.bar = toolbar(this.actions(), (axis, column) => this.choose(axis, column));
    this.plot = new Plot(this);
    this.chart = new Chart((step) => this.wire.send("seek", { step }), () => this.draw());
    this.help = help(() => this.toggleHelp(false));
    this.summary = html("p", { class: "gl-hidden", id: uid("summary") });
    this.build();
    this.listen();
    this.wire.send("ready");
  }

  build() {
    set(this.plot.surface, { "aria-describedby": this.summary.id });
    this.plot.element.append(this.help.element, this.status.strip);
    this.root = html("div", { class: "gmmlab gl-explorer" }, this.bar.element, this.plot.element,
      this.chart.element, this.status.line, this.status.voice, this.summary);
    this.el.append(this.root);
    keepKeys(this.root);
    keys(this);
    this.retheme();
  }

  listen() {
    const on = (target, name, callback) => {
      target.on(name, callback);
      this.#undo.push(() => target.off(name, callback));
    };
    on(this.model, "msg:custom", (message, buffers) => this.receive(message, buffers));
    on(this.model, "change:selected", () => this.change({ selected: this.model.get("selected") ?? null }));
    on(this.model, "change:theme", () => this.retheme());
    on(this.model, "change:height", () => this.retheme());
    for (const event of ["comm_live_update", "comm:close", "destroy"]) on(this.model, event, () => this.doubt());
    this.bus = join(this.model.get("session_id"), (what) => this.change({ hover: what.hover }));
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.plot.element);
    this.#undo.push(watch(() => this.retheme()), this.bus.close, () => this.sizes.disconnect());
  }

  receive(message, buffers = []) {
    const { state } = this;
    if (!state.connected) this.change({ connected: true });
    if (message.type === "reply") {
      if (this.wire.receive(message)) this.edits.flush();
      return;
    }
    if (message.type === "points") {
      state.dims = message.dims;
      state.names = message.names;
      state.points = floats(buffers[0]);
      state.n = message.n;
      state.gaps = message.gaps ?? 0;
      state.borders = message.borders ?? [null, null];
      state.labels = null;
      this.held.drop();
      this.plot.show(message.ranges);
    } else if (message.type === "frame") {
      const before = state.components.length;
      Object.assign(state, fromFrame(message, buffers));
      this.held.settle(state.components, state.play);
      this.#unpainted.push(message.frame);
      this.keepSelection(before);
      if (this.plot.unfitted && state.components.length) this.plot.fitNow();
    }
    this.draw();
  }

  /** After components came or went: the new one is selected; focus does not fall out of the widget. */
  keepSelection(before) {
    const { state } = this;
    const k = state.components.length;
    if (k > before && this.expecting) this.select(k - 1, this.hasFocus());
    if (k !== before) this.expecting = false;
    if (state.selected !== null && state.selected >= k) this.select(k ? k - 1 : null, this.hasFocus());
  }

  /** Focus is moved within the widget, and never taken from elsewhere. */
  hasFocus() {
    return this.root.contains(this.root.getRootNode().activeElement);
  }

  change(changes) {
    Object.assign(this.state, changes);
    this.draw();
  }

  /** One drawing per animation frame, whatever was asked; frames are acknowledged after it. */
  draw(everything = true) {
    this.#stale ||= everything;
    if (!this.#pending) this.#pending = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.#pending = 0;
    const { state } = this;
    if (this.closed || !this.root.isConnected || this.plot.element.clientWidth < 40) return; // Lab renders detached first
    this.plot.measure(); // all reading before any writing: one layout a frame
    this.chart.measure();
    if (!this.plot.style.ink) this.retheme(); // a detached element has no computed style
    state.stale = this.wire.stale;
    state.mode = !state.connected ? "disconnected" : state.ready ? state.play : "loading";
    set(this.root, { "data-mode": state.mode, "data-stale": state.stale ? "" : null });
    this.plot.draw(state, this.held);
    if (this.#stale) this.paintRest(state);
    this.#stale = false;
    for (const frame of this.#unpainted.splice(0)) this.wire.send("ack", { frame });
    if (this.focusNext) this.plot.focus(...this.focusNext);
    this.focusNext = null;
  }

  /** What does not change when the plot is panned or zoomed. */
  paintRest(state) {
    this.chart.draw({ trace: state.trace, step: state.step, left: this.plot.view.box.left, style: this.plot.style });
    this.bar.update(state);
    this.status.update(state);
    set(this.summary, { text: this.plot.describe(state) });
  }

  retheme() {
    const wish = this.model.get("theme") ?? "auto";
    this.state.theme = resolve(wish, this.el);
    set(this.root, { "data-theme": this.state.theme, "data-forced": wish === "auto" ? null : "" });
    this.root.style.setProperty("--gl-height", `${this.model.get("height") ?? 420}px`);
    this.plot.restyle(this.root);
    this.draw();
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
    this.status.tell(sentence, () => this.draw());
  }

  /** The connection has changed: it is taken for lost until the kernel answers. */
  doubt() {
    this.change({ connected: false });
    this.wire.send("ready");
  }

  close() {
    this.closed = true;
    cancelAnimationFrame(this.#pending);
    for (const undo of this.#undo) undo();
    this.wire.close();
    this.status.close();
    this.plot.close();
    this.held.drop();
    this.root.remove();
    Object.assign(this.state, { points: null, labels: null });
  }
}

export default {
  render({ model, el }) {
    const view = new Explorer(model, el);
    return () => view.close();
  },
};
