// The log-likelihood under the plot: a click or an arrow key goes to a step.
import { html, set, KEYS_STAY } from "../shared/dom.js";
import { drawTrace, layout, stepAt } from "../shared/trace.js";
import { number } from "../shared/view.js";

export class Chart {
  #trace = [];
  #plan = null;
  #hover = null;
  #step = 0;
  #size = [0, 0];

  /** @param {(step: number) => void} seek @param {() => void} redraw */
  constructor(seek, redraw) {
    this.canvas = html("canvas", { "aria-hidden": "true" });
    this.caption = html("div", { class: "gl-caption", "aria-hidden": "true" });
    this.element = html(
      "div",
      { class: "gl-strip", role: "slider", tabindex: 0, "aria-label": "Step shown, on the curve of the mean log-likelihood",
        "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0, ...KEYS_STAY },
      this.canvas, this.caption,
    );
    const near = (event) => stepAt(this.#trace, this.#plan, event.clientX - this.element.getBoundingClientRect().left);
    const hover = (step) => {
      if (step === this.#hover) return;
      this.#hover = step;
      redraw();
    };
    this.element.addEventListener("pointermove", (event) => this.#plan && hover(near(event)));
    this.element.addEventListener("pointerleave", () => hover(null));
    this.element.addEventListener("click", (event) => this.#trace.length && seek(near(event)));
    this.element.addEventListener("keydown", (event) => this.#key(event, seek));
  }

  #key(event, seek) {
    const steps = this.#trace.map(([step]) => step);
    const at = steps.findIndex((step) => step >= this.#step);
    const here = at < 0 ? steps.length - 1 : at;
    const to = {
      ArrowLeft: here - 1, ArrowDown: here - 1, ArrowRight: here + 1, ArrowUp: here + 1,
      PageDown: here - 10, PageUp: here + 10, Home: 0, End: steps.length - 1,
    }[event.key];
    if (to === undefined || !steps.length) return;
    event.preventDefault();
    seek(steps[Math.max(0, Math.min(steps.length - 1, to))]);
  }

  measure() {
    this.#size = [this.element.clientWidth, this.element.clientHeight];
  }

  draw({ trace, step, left, style }) {
    const [width, height] = this.#size;
    if (!width) return;
    [this.#trace, this.#step] = [trace, step];
    this.#plan = layout(trace, width, height, { left, top: 32 });
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    const ctx = this.canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    if (trace.length) drawTrace(ctx, trace, this.#plan, { step, hover: this.#hover, style });
    this.#describe();
  }

  #describe() {
    const step = this.#hover ?? this.#step;
    const value = this.#trace.find(([s]) => s === step)?.[1];
    const text = value === undefined ? "" : ` ${number(value, 6)} at step ${step}`;
    set(this.caption, { text: `Mean log-likelihood${text}` });
    set(this.element, {
      "aria-valuemin": this.#trace[0]?.[0] ?? 0, "aria-valuemax": this.#trace.at(-1)?.[0] ?? 0,
      "aria-valuenow": this.#step, "aria-valuetext": `step ${this.#step}${value === undefined ? "" : `, ${number(value, 6)}`}`,
    });
  }
}
