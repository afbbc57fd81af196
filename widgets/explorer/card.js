// The card of a row: what its values are, which components it may belong to, what other models say.
import { html, set, KEYS_STAY } from "../shared/dom.js";
import { colour, css, grey, ink } from "../shared/palette.js";
import { number } from "../shared/view.js";

export class Card {
  #shown = "";

  /** @param {(row: number | null) => void} open */
  constructor(open) {
    this.input = html("input", { type: "number", min: 0, class: "gl-select", "aria-label": "Row", ...KEYS_STAY,
      change: (event) => event.target.checkValidity() && event.target.value !== "" && open(Number(event.target.value)) });
    const close = html("button", { type: "button", class: "gl-button gl-quiet", "aria-label": "Close the card", text: "×", ...KEYS_STAY, click: () => open(null) });
    this.body = html("div", {});
    this.element = html("section", { class: "gl-card", "aria-label": "One row", hidden: "" },
      html("div", { class: "gl-card-head" }, html("strong", { text: "Row" }), this.input, close), this.body);
  }

  update({ card, n, theme }) {
    this.element.hidden = !card;
    if (!card) return;
    const now = JSON.stringify([card, theme, n]);
    if (now === this.#shown) return;
    if (!this.#shown.startsWith(`[{"row":${card.row},`)) this.input.value = card.row;
    this.#shown = now;
    set(this.input, { max: n - 1 });
    const values = [...card.values.map(([name, v]) => [name, v === null ? "no value" : number(v)]), ["log density", number(card.log_density)]];
    const others = card.others.map(([name, k, p]) => [name, `${k < 0 ? "noise" : `component ${k + 1}`}, ${percent(p)}`]);
    this.body.replaceChildren(list(values), ...card.resp.map((pair) => bar(pair, theme)), list(others));
  }
}

const percent = (p) => (p > 0.9995 ? "100%" : p < 0.001 ? "<0.1%" : `${number(100 * p, p < 0.1 ? 2 : 3)}%`);

const list = (pairs) => html("dl", { hidden: !pairs.length && "" },
  ...pairs.map(([name, value]) => html("div", {}, html("dt", { text: name }), html("dd", { text: value }))));

/** A share of the row: who has it, and how long it is. */
function bar([k, p], theme) {
  const fill = k < 0 ? grey(theme) : colour(k, theme);
  return html("div", { class: "gl-share", role: "img", "aria-label": `${k < 0 ? "Noise" : `Component ${k + 1}`}: ${percent(p)}` },
    html("span", { class: "gl-badge", style: `background:${css(fill)};color:${ink(fill)}`, text: k < 0 ? "–" : String(k + 1) }),
    html("span", { class: "gl-length" }, html("span", { style: `width:${(100 * p).toFixed(1)}%;background:${css(fill)}` })),
    html("span", { text: percent(p) }));
}
