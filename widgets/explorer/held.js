// The component in the person's hand. It is shown where the hand is, not where the last frame says, until the kernel
// has caught up: frames that were on their way must not pull it back.
import { covariance, toAxes, toFactor } from "../shared/ellipse.js";

const PATIENCE = 700; // ms after the last answer

export class Held {
  #edits;
  #redraw;
  #timer = null;
  #touched = 0;
  k = null;
  dragging = false;

  constructor(edits, redraw) {
    this.#edits = edits;
    this.#redraw = redraw;
  }

  /** The components as they are to be shown: mean, weight and axes on the screen. */
  shown(components, view) {
    return components.map((each, k) => {
      const mine = k === this.k;
      const mean = (mine && this.mean) || each.mean;
      const axes = (mine && this.axes && this.#onScreen(view)) || toAxes(each.factor, view.sx, view.sy);
      return { mean, axes, weight: each.weight };
    });
  }

  /** Axes in the hand keep their names while they are pulled past each other, but not across a change of zoom. */
  #onScreen(view) {
    const same = this.scale[0] === view.sx && this.scale[1] === view.sy;
    return same ? this.axes : toAxes(this.factor, view.sx, view.sy);
  }

  /** @param {{mean?: [number, number], axes?: import("../shared/ellipse.js").Axes}} change */
  change(k, { mean, axes }, view) {
    if (this.k !== k) this.drop();
    this.k = k;
    this.#touched = performance.now();
    const edit = { k };
    if (mean) edit.mean = this.mean = mean;
    if (axes) {
      [this.axes, this.scale] = [axes, [view.sx, view.sy]];
      edit.factor = this.factor = toFactor(axes, view.sx, view.sy);
    }
    this.#edits.put(edit);
    this.#wait();
    this.#redraw();
  }

  grab() {
    this.dragging = true;
  }

  release() {
    this.dragging = false;
    this.#wait();
  }

  /** A frame has come: let go if it says what the hand said, or goes on from it. */
  settle(components, play) {
    if (this.k === null) return;
    if (this.k >= components.length) return this.drop();
    if (this.dragging || !this.#edits.idle) return;
    const late = performance.now() - this.#touched > (play === "playing" ? 150 : PATIENCE);
    if (late || this.#agrees(components[this.k])) this.drop();
  }

  #agrees({ mean, factor }) {
    const near = (a, b) => a.every((v, i) => Math.abs(v - b[i]) <= 1e-6 * (Math.abs(v) + Math.abs(b[i])) + 1e-12);
    return (!this.mean || near(this.mean, mean)) && (!this.factor || near(covariance(this.factor), covariance(factor)));
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.dragging || this.k === null) return;
      if (!this.#edits.idle) return this.#wait();
      this.drop();
    }, PATIENCE);
  }

  drop() {
    clearTimeout(this.#timer);
    if (this.k === null) return;
    this.k = this.mean = this.axes = this.factor = null;
    this.#redraw();
  }
}
