// Axes, ellipses and handles, in SVG over the points. Elements are kept between draws, so that focus stays.
import { svg, set, KEYS_STAY } from "../shared/dom.js";
import { tip, toAxes } from "../shared/ellipse.js";
import { isoline } from "../shared/isolines.js";
import { colour, css, dash, grey, ink, line, shade } from "../shared/palette.js";
import { number, room, ticks, ticksAcross } from "../shared/view.js";

export const SIGMA = 2; // axis handles sit on the outer ellipse
const TAB_STOPS = 12; // with more components only the selected one is in the tab order; [ and ] reach the others

export class Overlay {
  #parts = [];
  #axesOf = "";
  #keyOf = "";

  constructor() {
    this.grid = svg("g", { class: "gl-grid", "aria-hidden": "true" });
    this.labels = svg("g", { class: "gl-labels", "aria-hidden": "true" });
    this.titles = [0, 1].map((axis) => svg("text", { class: "gl-title", "text-anchor": axis ? "start" : "end" }));
    this.key = svg("text", { class: "gl-key", "text-anchor": "end", "aria-hidden": "true" });
    this.border = svg("path", { class: "gl-border", "aria-hidden": "true" });
    this.contours = svg("g", { class: "gl-contours", "aria-hidden": "true" });
    this.truth = svg("g", { class: "gl-truth", "aria-hidden": "true" });
    this.ring = svg("circle", { class: "gl-row", r: 7, "aria-hidden": "true" });
    this.lasso = svg("path", { class: "gl-lasso", "aria-hidden": "true" });
    this.layers = [svg("g", {}), svg("g", {})]; // all handles lie over all ellipses: none is out of reach
    this.inner = svg("svg", { class: "gl-inner" }, this.border, this.contours, this.truth, ...this.layers, this.ring, this.lasso);
    this.element = svg("svg", { class: "gl-svg", role: "group", "aria-label": "Components" },
      this.grid, this.labels, svg("g", { "aria-hidden": "true" }, ...this.titles), this.key, this.inner);
  }

  draw(view, shown, { selected, hover, names, theme, noise, gaps, borders, shades, truth, contours, line: lasso, spot }) {
    const { left, top, width, height } = view.box;
    set(this.inner, { x: left, y: top, width, height });
    this.#axes(view, names);
    this.#margins(view, borders);
    this.#lines(view, contours);
    this.#ghosts(view, truth);
    set(this.ring, { display: spot ? null : "none", cx: spot?.[0], cy: spot?.[1] });
    set(this.lasso, { d: lasso ? `M${lasso.map((place) => place.map(Math.round).join(" ")).join("L")}Z` : null });
    this.#tell(view, { noise, gaps, theme, shades, beside: this.titles[1].textContent });
    while (this.#parts.length > shown.length) for (const group of this.#parts.pop().groups) group.remove();
    while (this.#parts.length < shown.length) this.#parts.push(component(this.#parts.length, this.layers));
    shown.forEach((each, k) => this.#component(each, k, view, { selected, hover, names, theme, count: shown.length }));
    this.#raise(selected);
  }

  /** The selected component over the others. Whoever has the focus stays where it is: moving it would lose it. */
  #raise(k) {
    const group = this.#parts[k]?.groups[1];
    if (!group?.nextSibling) return;
    if (!group.contains(group.getRootNode().activeElement)) return group.parentNode.append(group);
    while (group.nextSibling) group.before(group.nextSibling);
  }

  /** The handle to give the focus to: part "mean", "a" or "b". */
  handle(k, part = "mean") {
    return this.#parts[k]?.[part];
  }

  #axes(view, names) {
    const { left, top, width, height } = view.box;
    const now = [left, top, width, height, ...view.x, ...view.y, ...names].join(" ");
    if (now === this.#axesOf) return; // text is the dearest thing to lay out, and axes stand still while a fit plays
    this.#axesOf = now;
    const x = ticksAcross(...view.x, width);
    const y = ticks(...view.y, Math.max(2, height / 65));
    const lines = [];
    const texts = [];
    for (const v of x.values) {
      const at = Math.round(left + view.toScreen([v, 0])[0]) + 0.5;
      lines.push(`M${at} ${top}V${top + height}`);
      texts.push(svg("text", { x: at, y: top + height + 17, "text-anchor": "middle", text: x.format(v) }));
    }
    for (const v of y.values) {
      const at = Math.round(top + view.toScreen([0, v])[1]) + 0.5;
      lines.push(`M${left} ${at}H${left + width}`);
      texts.push(svg("text", { x: left - 8, y: at + 3.5, "text-anchor": "end", text: y.format(v) }));
    }
    this.grid.replaceChildren(svg("path", { d: lines.join("") }));
    this.labels.replaceChildren(...texts);
    set(this.titles[0], { x: left + width, y: top + height + 34, text: `${names[0]} →` });
    set(this.titles[1], { x: 14, y: 17, text: `↑ ${names[1]}` });
  }

  /** The lines beyond which rows without a value stand. */
  #margins(view, [x, y]) {
    const lines = x === null ? [] : [`M${view.toScreen([x, 0])[0].toFixed(1)} 0V${view.box.height}`];
    if (y !== null) lines.push(`M0 ${view.toScreen([0, y])[1].toFixed(1)}H${view.box.width}`);
    set(this.border, { d: lines.join("") || null });
  }

  /** Contours are made once for a grid, and moved with the view. */
  #lines({ sx, sy, x, y }, contours) {
    if (contours !== this.drawn) {
      this.drawn = contours;
      this.contours.replaceChildren(...(contours?.levels ?? []).map((level) => svg("path", { d: isoline(contours.grid, contours.shape, level) })));
    }
    if (!contours) return;
    const [[x0, x1], [y0, y1]] = contours.window;
    const [rows, columns] = contours.shape;
    const [ax, ay] = [((x1 - x0) / (columns - 1)) * sx, ((y1 - y0) / (rows - 1)) * sy];
    set(this.contours, { transform: `matrix(${ax} 0 0 ${ay} ${(x0 - x[0]) * sx} ${(y0 - y[1]) * sy})` });
  }

  /** The truth, under what is fitted. */
  #ghosts(view, truth) {
    if (this.truth.childElementCount !== truth.length) this.truth.replaceChildren(...truth.map(() => svg("ellipse")));
    truth.forEach(({ mean, factor }, k) => {
      const { a, b, angle } = toAxes(factor, view.sx, view.sy);
      set(this.truth.children[k], { rx: (SIGMA * a).toFixed(2), ry: (SIGMA * b).toFixed(2),
        transform: `translate(${view.toScreen(mean).map((v) => v.toFixed(2)).join(" ")}) rotate(${((angle * 180) / Math.PI).toFixed(3)})` });
    });
  }

  /** What is neither a component nor a value, in a key over the upper right corner; without words where it is narrow. */
  #tell({ box: { left, width } }, { noise, gaps, theme, shades, beside }) {
    const worded = [shades && ["● certain", ""], shades && ["● uncertain", ""], noise !== null && ["● noise", percent(noise)], gaps && ["┄ beyond: no value", `(${gaps.toLocaleString("en")})`]];
    const fits = room([beside + worded.filter(Boolean).flat().join(" ")]) + 28 < left + width;
    const parts = worded.filter(Boolean).map(([words, value]) => `${fits ? words : words[0]} ${value}`);
    const ends = shades ? [0, 1].map((part) => shade(part, theme)) : [];
    const now = [theme, ...parts].join(" ");
    set(this.key, { x: left + width, y: 17 });
    if (now === this.#keyOf) return;
    this.#keyOf = now;
    this.key.replaceChildren(...parts.map((part, i) => svg("tspan", { dx: i ? 14 : 0 },
      svg("tspan", { style: `fill:${css(ends[i] ?? grey(theme))}`, text: part[0] }), svg("tspan", { text: part.slice(1) }))));
  }

  #component({ mean, axes, weight }, k, view, { selected, hover, names, theme, count }) {
    const part = this.#parts[k];
    const [cx, cy] = view.toScreen(mean);
    const fill = colour(k, theme);
    const chosen = k === selected;
    const look = {
      class: `gl-component${chosen ? " is-selected" : ""}${k === hover ? " is-hover" : ""}`,
      transform: `translate(${cx.toFixed(2)} ${cy.toFixed(2)})`,
      style: `--c:${css(fill)};--l:${css(line(k, theme))};--i:${ink(fill)}`,
    };
    for (const group of part.groups) set(group, look);
    const turn = `rotate(${((axes.angle * 180) / Math.PI).toFixed(3)})`;
    part.ellipses.forEach(([halo, edge], i) => {
      const place = { rx: Math.max(0.5, axes.a * (i + 1)).toFixed(2), ry: Math.max(0.5, axes.b * (i + 1)).toFixed(2) };
      set(halo, { ...place, transform: turn });
      set(edge, { ...place, transform: turn, "stroke-dasharray": i ? dash(k) : null });
    });
    set(part.mean, {
      tabindex: chosen || count <= TAB_STOPS ? 0 : -1,
      "aria-label": `Mean of component ${k + 1}`,
      "aria-valuenow": mean[0], "aria-valuemin": view.x[0], "aria-valuemax": view.x[1],
      "aria-valuetext": `${names[0]} ${number(mean[0])}, ${names[1]} ${number(mean[1])}, weight ${percent(weight)}`,
    });
    set(part.number, { text: String(k + 1) });
    set(part.weight, { text: percent(weight) });
    for (const which of ["a", "b"]) this.#axis(part, which, axes, k, chosen);
  }

  #axis(part, which, axes, k, chosen) {
    const [x, y] = tip(axes, which, SIGMA);
    const degrees = (Math.atan2(-y, x) * 180) / Math.PI;
    set(part[which], {
      transform: `translate(${x.toFixed(2)} ${y.toFixed(2)}) rotate(${(45 - degrees).toFixed(2)})`,
      tabindex: chosen ? 0 : -1,
      "aria-label": `${which === "a" ? "First" : "Second"} axis of component ${k + 1}`,
      "aria-valuenow": Math.round(axes[which]), "aria-valuemin": 1, "aria-valuemax": 10000,
      "aria-valuetext": `${Math.round(axes[which])} pixels long, turned ${Math.round(degrees)} degrees`,
    });
    set(part[`${which}Line`], { x2: x.toFixed(2), y2: y.toFixed(2) });
  }
}

const percent = (weight) => `${number(weight * 100, weight < 0.1 ? 2 : 3)}%`;

/** The elements of one component. */
function component(k, layers) {
  const pair = (name) => ["gl-halo", name].map((each) => svg("ellipse", { class: each }));
  const handle = (part, ...content) =>
    svg("g", { class: `gl-handle gl-${part === "mean" ? "mean" : "axis"}`, role: "slider", "data-k": k,
      "data-part": part, ...KEYS_STAY }, svg("circle", { class: "gl-hit" }), ...content);
  const ellipses = [pair("gl-one"), pair("gl-two")];
  const [aLine, bLine] = [0, 1].map(() => svg("line", { class: "gl-spoke", x1: 0, y1: 0 }));
  const number = svg("text", { class: "gl-number", "text-anchor": "middle", y: 4 });
  const weight = svg("text", { class: "gl-weight", x: 17, y: 4, "aria-hidden": "true" });
  const mean = handle("mean", svg("circle", { class: "gl-ring", r: 15 }), svg("circle", { class: "gl-knob", r: 10 }), number);
  const [a, b] = ["a", "b"].map((part) =>
    handle(part, svg("circle", { class: "gl-ring", r: 10 }), svg("rect", { class: "gl-grip", x: -5, y: -5, width: 10, height: 10, rx: 2.5 })));
  const groups = [
    svg("g", { "data-k": k }, ...ellipses[1], ...ellipses[0]), svg("g", { "data-k": k }, aLine, bLine, mean, weight, a, b),
  ];
  layers.forEach((layer, i) => layer.append(groups[i]));
  return { groups, ellipses, mean, number, weight, a, b, aLine, bLine };
}

/** A sentence for each component, for those who do not see the plot. */
export function summary({ n, names, components, noise, gaps }) {
  if (!n) return "No points yet.";
  const each = components.map(({ mean, weight }, k) =>
    `Component ${k + 1}: weight ${percent(weight)}, mean ${names[0]} ${number(mean[0])}, ${names[1]} ${number(mean[1])}.`);
  if (noise !== null) each.push(`Noise: weight ${percent(noise)}.`);
  if (gaps) each.push(`${gaps.toLocaleString("en")} points have no value in one of these columns and stand in the margin.`);
  return `${n.toLocaleString("en")} points, ${names[1]} against ${names[0]}, with ${components.length} components. ${each.join(" ")}`;
}
