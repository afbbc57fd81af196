// What can be done with the selected component, beside the plot's lower edge: split, merge, keep parts of it as they are.
import { button, group } from "../shared/controls.js";
import { html, set } from "../shared/dom.js";
import { colour, css, ink } from "../shared/palette.js";

const PINS = [["mean", "Mean"], ["cov", "Shape"], ["weight", "Weight"]];
const FREE = [false, false, false];

export class Chosen {
  #pins = FREE;

  /** @param {{split: () => void, merge: () => void, pin: (pins: boolean[]) => void}} act */
  constructor(act) {
    this.badge = html("span", { class: "gl-badge" });
    this.split = button("split", "Split", "Split in two (2)", act.split);
    this.merge = button("merge", "Merge", "Merge with the component chosen next, or again for the nearest (1)", act.merge, { attributes: { "aria-pressed": "false" } });
    this.pins = PINS.map(([name, text], i) =>
      button(`pin-${name}`, text, `The fit keeps the ${text.toLowerCase()} as it is`, () => act.pin(this.#pins.map((on, j) => on !== (i === j))),
        { label: `Keep the ${text.toLowerCase()}`, attributes: { class: "gl-button gl-pin", "aria-pressed": "false" } }));
    this.element = html("div", { class: "gl-chosen", role: "toolbar", "aria-label": "Selected component", hidden: "" },
      this.badge, this.split, this.merge, group("Keep in the fit", html("span", { class: "gl-quiet", "aria-hidden": "true", text: "keep" }), ...this.pins));
  }

  update({ selected: k, components, merging, theme, ready, connected }) {
    const one = k === null ? null : components[k];
    this.element.hidden = !one;
    if (!one) return;
    const fill = colour(k, theme);
    this.#pins = one.pins ?? FREE;
    set(this.badge, { text: String(k + 1), style: `background:${css(fill)};color:${ink(fill)}` });
    const off = (is) => (is || !(ready && connected) ? "true" : null);
    set(this.split, { "aria-disabled": off(false) });
    set(this.merge, { "aria-disabled": off(components.length < 2), "aria-pressed": String(merging) });
    this.pins.forEach((pin, i) => set(pin, { "aria-disabled": off(false), "aria-pressed": String(this.#pins[i]) }));
  }
}
