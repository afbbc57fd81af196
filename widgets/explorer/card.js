// The card of a row: what its values are, which components it may belong to, what other models say.
import { html, set, BUTTON, KEYS_STAY } from "../shared/dom.js";
import { colour, css, face, grey } from "../shared/palette.js";
import { number, percent } from "../shared/view.js";

export class Card {
  #shown = "";

  /** @param {(row: number | null) => void} open */
  constructor(open) {
    this.input = html("input.gl-select", { type: "number", min: 0, "aria-label": "Row", ...KEYS_STAY,
      change: (event) => event.target.checkValidity() && event.target.value !== "" && open(Number(event.target.value)) });
    const close = html("button.gl-button.gl-quiet", { ...BUTTON, "aria-label": "Close the card", click: () => open(null) }, "×");
    this.body = html("div");
    this.element = html("section.gl-card", { "aria-label": "One row", hidden: "" },
      html("div.gl-card-head", html("strong", "Row"), this.input, close), this.body);
  }

  update({ card, n, theme, hues }) {
    this.element.hidden = !card;
    if (!card) return;
    const now = JSON.stringify([card, theme, hues, n]);
    if (now === this.#shown) return;
    if (!this.#shown.startsWith(`[{"row":${card.row},`)) this.input.value = card.row;
    this.#shown = now;
    set(this.input, { max: n - 1 });
    const values = [...card.values.map(([name, v]) => [name, v === null ? "no value" : number(v)]), ["log density", number(card.log_density)]];
    const others = card.others.map(([name, k, p]) => [name, `${named(k)}, ${share(p)}`]);
    this.body.replaceChildren(list(values), ...card.resp.map((pair) => bar(pair, theme, hues)), list(others));
  }
}

const named = (k) => (k < 0 ? "noise" : `component ${k + 1}`);

/** Without a row of nines or noughts. */
const share = (p) => (p > 0.9995 ? "100%" : p < 0.001 ? "<0.1%" : percent(p));

const list = (pairs) => html("dl", { hidden: pairs.length ? null : "" },
  ...pairs.map(([name, value]) => html("div", html("dt", name), html("dd", value))));

/** A share of the row: who has it, and how long it is. */
function bar([k, p], theme, hues) {
  const fill = k < 0 ? grey(theme) : colour(k, hues);
  return html("div.gl-share", { role: "img", "aria-label": `${named(k)}: ${share(p)}` },
    html("span.gl-badge", { style: face(fill) }, k < 0 ? "–" : k + 1),
    html("span.gl-length", html("span", { style: `width:${(100 * p).toFixed(1)}%;background:${css(fill)}` })),
    html("span", share(p)));
}
