// The log-likelihood under the plot: axes of its course, and a slider of its steps.
import { Axes } from "../shared/axes.js";
import { set, KEYS_STAY } from "../shared/dom.js";
import { dots, line } from "../shared/marks.js";
import { number } from "../shared/view.js";

const AWAY = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

export class Strip extends Axes {
  #course = { x: [], y: [] };
  #step = 0;

  /** @param {import("./index.js").Explorer} app */
  constructor(app) {
    super({ line, dots }, app, "div.gl-strip", { role: "slider", tabindex: 0, ...KEYS_STAY,
      "aria-label": "Step shown, on the curve of the mean log-likelihood" });
    this.right = 16; // as the plot has it
    const near = (event) => this.near(this.place(event));
    set(this.element, {
      pointermove: (event) => this.#point(near(event)),
      pointerleave: () => this.#point(null),
      click: (event) => this.#seek(near(event)?.pick),
      keydown: (event) => this.#press(event),
    });
  }

  #press(event) {
    const away = AWAY[event.key];
    const { x } = this.#course;
    if (!away || !x.length) return;
    event.preventDefault();
    const here = x.findIndex((step) => step >= this.#step);
    this.#seek(x[Math.max(0, Math.min(x.length - 1, (here < 0 ? x.length - 1 : here) + away))]);
  }

  #seek(step) {
    if (step !== undefined) this.app.wire.send("seek", { step });
  }

  #point(target) {
    if (target?.pick === this.pointed?.pick) return;
    this.pointed = target;
    this.app.draw();
  }

  /** The axes have moved under a pointer that stands still. */
  over() {
    this.pointed &&= this.targets.find(({ pick }) => pick === this.pointed.pick);
  }

  /** @param {number} left where the plot above begins */
  draw({ chart, step }, left, style) {
    if (!chart) return;
    this.left = left;
    [this.#course, this.#step] = [chart.marks[0], step];
    const { x, y } = this.#course;
    const says = (at) => (x.includes(at) ? number(y[x.indexOf(at)], 6) : "");
    const at = this.pointed?.pick ?? step;
    this.update({ ...chart, title: `Mean log-likelihood ${says(at)} ${says(at) && `at step ${at}`}`.trim() });
    set(this.element, { "aria-valuemin": x[0] ?? 0, "aria-valuemax": x.at(-1) ?? 0, "aria-valuenow": step,
      "aria-valuetext": [`step ${step}`, says(step)].filter(Boolean).join(", ") });
    this.paint(style);
  }
}
