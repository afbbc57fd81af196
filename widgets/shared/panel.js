// What every view of a session does: it speaks and listens, draws once per animation frame, follows the theme, says
// what state it is in, and leaves nothing behind. A view extends it and says what it shows.
import { join } from "./bus.js";
import { focused, html, set, uid } from "./dom.js";
import { keepKeys } from "./keyboard.js";
import { Status } from "./status.js";
import { forced, resolve, watch } from "./theme.js";
import { Wire } from "./wire.js";

/** The module of a widget whose views are of this class. */
export const widget = (View) => ({
  render({ model, el }) {
    const view = new View(model, el);
    view.open();
    return () => view.close();
  },
});

const COMMON = { ready: false, connected: true, stale: false, mode: "loading", theme: "light", play: "idle", status: "", error: null };

export class Panel {
  #pending = 0;
  #stale = true; // whether more than the view has changed since the last drawing
  #unpainted = []; // frames to acknowledge once they are on the screen
  #undo = [];

  /** @param {string} name of the widget, for its style sheet */
  constructor(model, el, name, state = {}) {
    Object.assign(this, { model, el, name, style: {} });
    this.state = { ...COMMON, ...state };
    this.wire = new Wire(model, {
      changed: () => this.draw(), refused: (sentence) => this.refused(sentence), gone: () => this.change({ connected: false }),
    });
    this.status = new Status();
    this.summary = html("p.gl-hidden", { id: uid("summary") });
    this.root = html(`div.gmmlab.gl-${name}`, { role: "group" });
  }

  // what a view says of itself

  /** What it is called. */
  get title() {
    return this.model.get("title") || "Explorer";
  }
  /** Its elements, from the top down; the line of its state follows. @returns {Element[]} */
  content() {
    return [];
  }
  /** The element whose size its drawing follows. */
  get stage() {
    return this.root;
  }
  /** A message of the kernel that is neither a frame nor an answer. */
  hear(_message, _buffers) {}
  /** A frame of the kernel. */
  show(_message, _buffers) {}
  /** Draws; `everything` unless only the view has moved. */
  paint(_everything) {}
  /** All that is read from the page before anything is written: one layout a frame. */
  measure() {}
  /** What another panel of the session says: `hover` (a component), `row`, `brush` (one byte a row, or null). */
  told(_what) {}
  /** Facts for the line below. @returns {string[]} */
  facts() {
    return [];
  }
  /** The whole in words. */
  words() {
    return "";
  }
  restyled() {}
  answered() {}

  // what it can ask for

  open() {
    set(this.root, { "aria-label": this.title });
    this.root.append(...this.content(), this.status.line, this.status.voice, this.summary);
    this.el.append(this.root);
    keepKeys(this.root);
    this.retheme();
    const on = (name, callback) => {
      this.model.on(name, callback);
      this.#undo.push(() => this.model.off(name, callback));
    };
    this.on = on;
    on("msg:custom", (message, buffers) => this.#receive(message, buffers));
    for (const trait of ["theme", "palette", "height"]) on(`change:${trait}`, () => this.retheme());
    for (const event of ["comm_live_update", "comm:close", "destroy"]) on(event, () => this.#doubt());
    this.bus = join(this.model.get("session_id"), (what) => this.told(what));
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(this.stage);
    this.#undo.push(watch(() => this.retheme()), this.bus.close, () => sizes.disconnect());
    this.opened();
    this.wire.send("ready");
  }
  opened() {}

  change(changes) {
    Object.assign(this.state, changes);
    this.draw();
  }

  /** One drawing per animation frame, whatever was asked; frames are acknowledged after it. */
  draw(everything = true) {
    this.#stale ||= everything;
    if (!this.#pending) this.#pending = requestAnimationFrame(() => this.#paint());
  }

  /** Focus is moved within the widget, and never taken from elsewhere. */
  hasFocus() {
    return focused(this.root) !== null;
  }

  refused(sentence) {
    this.status.tell(sentence, () => this.draw());
  }

  retheme() {
    const wish = this.model.get("theme") ?? "auto";
    this.state.theme = resolve(wish, this.el);
    this.state.hues = this.model.get("palette")[this.state.theme];
    set(this.root, { "data-theme": this.state.theme, "data-forced": wish === "auto" && !forced() ? null : "" });
    this.root.style.setProperty("--gl-height", `${this.model.get("height") ?? 420}px`);
    const computed = getComputedStyle(this.root);
    const read = (name) => computed.getPropertyValue(name).trim();
    this.style = {
      theme: this.state.theme, hues: this.state.hues, ink: read("--gl-ink"), quiet: read("--gl-quiet"), grid: read("--gl-grid"), edge: read("--gl-edge"),
      line: read("--gl-accent"), background: read("--gl-paper"), family: computed.fontFamily || "sans-serif",
    };
    this.restyled();
    this.draw();
  }

  #receive(message, buffers = []) {
    if (!this.state.connected) this.change({ connected: true });
    if (message.type === "reply") {
      if (this.wire.receive(message)) this.answered();
      return;
    }
    if (message.type === "frame") {
      const { step, play, status, error, word, progress } = message;
      Object.assign(this.state, { step, play, status, error, word, progress, ready: true });
      this.#unpainted.push(message.frame);
      this.show(message, buffers);
    } else this.hear(message, buffers);
    this.draw();
  }

  #paint() {
    this.#pending = 0;
    const { state } = this;
    if (this.closed || !this.root.isConnected || this.stage.clientWidth < 40) return; // Lab renders detached first
    this.measure();
    if (!this.style.ink) this.retheme(); // a detached element has no computed style
    state.stale = this.wire.stale;
    state.mode = !state.connected ? "disconnected" : state.ready ? state.play : "loading";
    set(this.root, { "data-mode": state.mode, "data-stale": state.stale ? "" : null });
    this.paint(this.#stale);
    if (this.#stale) {
      this.status.update(state, this.facts());
      set(this.summary, { text: this.words() });
    }
    this.#stale = false;
    for (const frame of this.#unpainted.splice(0)) this.wire.send("ack", { frame });
    this.painted();
  }
  painted() {}

  /** The connection has changed: it is taken for lost until the kernel answers. */
  #doubt() {
    this.change({ connected: false });
    this.wire.again();
    this.wire.send("ready");
  }

  close() {
    this.closed = true;
    cancelAnimationFrame(this.#pending);
    for (const undo of this.#undo) undo();
    this.wire.close();
    this.status.close();
    this.leave();
    this.root.remove();
  }
  /** What a view lets go of in the end. */
  leave() {}
}

/** @param {DataView} view */
export const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** A copy, because a buffer may lie at any byte of its message. @param {DataView} view */
export const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
