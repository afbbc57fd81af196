// A table of a chart: words in rows, of which one may be chosen, with buttons at the ends of the rows.
import { focused, focusOn, html, set, BUTTON, KEYS_STAY, SILENT } from "./dom.js";

export class Table {
  #written = "";

  constructor(app, index) {
    Object.assign(this, { app, index });
    this.element = html("div.gl-table", { role: "group", tabindex: 0, ...KEYS_STAY });
  }

  measure() {}

  update(spec) {
    this.spec = spec;
    set(this.element, { "aria-label": spec.title || this.app.title, style: `height:${spec.height}px;flex:1 1 ${spec.width}px` });
    const now = JSON.stringify({ ...spec, cells: spec.cells.map(([first]) => first) });
    if (now !== this.#written) this.#build(spec); // what is not built anew keeps its focus, and a button its press
    this.#written = now;
    this.element.querySelectorAll("tbody tr").forEach((row, i) => spec.cells[i].forEach((text, j) => j && set(row.children[j], { text })));
  }

  #build(spec) {
    const at = focused(this.element)?.dataset.at;
    const title = html("div.gl-table-title", SILENT, spec.title); // the name says it
    if (!spec.cells.length) return this.element.replaceChildren(title, html("p.gl-quiet", spec.empty));
    const head = html("tr", ...[...spec.columns, ...(spec.actions.length ? [""] : [])].map((name) => (name ? html("th", { scope: "col" }, name) : html("td.gl-actions"))));
    this.element.replaceChildren(title, html("table", { "aria-label": spec.title || this.app.title }, html("thead", head), html("tbody", ...spec.cells.map((cells, i) => this.#row(cells, i)))));
    if (at) focusOn(this.element.querySelector(`[data-at="${at}"]`));
  }

  #row(cells, i) {
    const { picks, rows, actions } = this.spec;
    const [first, ...rest] = cells;
    const press = (text, action) => html("button.gl-button", { ...BUTTON, "data-at": `${i} ${action}`,
      "aria-label": action ? `${text} ${first}` : null,
      pointerdown: (event) => event.currentTarget.setPointerCapture(event.pointerId), // numbers change, and columns move
      click: () => this.app.pick(this.index, picks[i], action) }, text);
    const lead = picks.length && !actions.length ? html("td", press(first, "")) : html("td", first);
    const row = html("tr", lead, ...rest.map(() => html("td")), actions.length ? html("td.gl-actions", ...actions.map((action) => press(action, action))) : null);
    if (rows[i] === undefined) return row;
    return set(row, { pointerenter: () => this.app.tell({ row: rows[i] }), pointerleave: () => this.app.tell({ row: null }) });
  }

  paint() {}
}
