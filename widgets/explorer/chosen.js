// What can be done with the selected component, beside the plot's lower edge: split, merge, keep parts of it as they are.
import { button, group } from "../shared/controls.js";
import { html, set, SILENT } from "../shared/dom.js";
import { colour, face } from "../shared/palette.js";

const PINS = [["mean", "Mean"], ["cov", "Shape"], ["weight", "Weight"]];
const FREE = [false, false, false];

export class Chosen {
  #pins = FREE;

  /** @param {{split: () => void, merge: () => void, pin: (pins: boolean[]) => void}} act */
  constructor(act) {
    this.badge = html("span.gl-badge");
    this.split = button("split", "Split", "Split in two (2)", act.split);
    this.merge = button("merge", "Merge", "Merge with the component chosen next, or again for the nearest (1)", act.merge);
    this.pins = PINS.map(([name, text], i) =>
      button(`pin-${name}`, text, `The fit keeps the ${text.toLowerCase()} as it is`, () => act.pin(this.#pins.map((on, j) => on !== (i === j))),
        { label: `Keep the ${text.toLowerCase()}`, kind: ".gl-pin" }));
    this.element = html("div.gl-chosen", { role: "toolbar", "aria-label": "Selected component", hidden: "" },
      this.badge, this.split, this.merge, group("Keep in the fit", html("span.gl-quiet", SILENT, "keep"), ...this.pins));
  }

  update({ selected: k, components, merging, hues, ready, connected }) {
    const one = k === null ? null : components[k];
    this.element.hidden = !one;
    if (!one) return;
    this.#pins = one.pins ?? FREE;
    set(this.badge, { text: String(k + 1), style: face(colour(k, hues)) });
    const off = !(ready && connected) || null;
    set(this.split, { "aria-disabled": off });
    set(this.merge, { "aria-disabled": off || components.length < 2 || null, "aria-pressed": merging });
    this.pins.forEach((pin, i) => set(pin, { "aria-disabled": off, "aria-pressed": this.#pins[i] }));
  }
}
