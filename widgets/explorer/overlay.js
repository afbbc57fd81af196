// Axes, ellipses and handles, in SVG over the points. Elements are kept between draws, so that focus stays.
import { focused, set, svg, KEYS_STAY, SILENT } from "../shared/dom.js";
import { tip, toAxes } from "../shared/ellipse.js";
import { isoline } from "../shared/isolines.js";
import { colour, css, dash, grey, ink, line, shade } from "../shared/palette.js";
import { count, number, percent, room, ticks, ticksAcross } from "../shared/view.js";

export const SIGMA = 2; // axis handles sit on the outer ellipse
const TAB_STOPS = 12; // with more components only the selected one is in the tab order; [ and ] reach the others

export class Overlay {
  #parts = [];
  #axesOf = "";
  #keyOf = "";

  constructor() {
    this.grid = svg("path.gl-grid");
    this.labels = svg("g.gl-labels");
    this.titles = ["end", "start"].map((anchor) => svg("text.gl-title", { "text-anchor": anchor }));
    this.key = svg("text.gl-key", { "text-anchor": "end" });
    this.border = svg("path.gl-border");
    this.contours = svg("g.gl-contours");
    this.truth = svg("g.gl-truth");
    this.ring = svg("circle.gl-row", { r: 7 });
    this.lasso = svg("path.gl-lasso");
    this.layers = [svg("g"), svg("g")]; // all handles lie over all ellipses: none is out of reach
    this.inner = svg("svg.gl-inner", svg("g", SILENT, this.border, this.contours, this.truth), ...this.layers,
      svg("g", SILENT, this.ring, this.lasso));
    this.element = svg("svg.gl-svg", { role: "group", "aria-label": "Components" },
      svg("g", SILENT, this.grid, this.labels, ...this.titles, this.key), this.inner);
  }

  draw(view, shown, { selected, hover, names, theme, hues, noise, gaps, borders, shades, truth, contours, line: lasso, spot }) {
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
    shown.forEach((each, k) => this.#component(each, k, view, { selected, hover, names, theme, hues, stops: shown.length <= TAB_STOPS }));
    this.#raise(selected);
  }

  /** The selected component over the others. Whoever has the focus stays where it is: moving it would lose it. */
  #raise(k) {
    const group = this.#parts[k]?.groups[1];
    if (!group?.nextSibling) return;
    if (!focused(group)) return group.parentNode.append(group);
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
      texts.push(svg("text", { x: at, y: top + height + 17, "text-anchor": "middle" }, x.format(v)));
    }
    for (const v of y.values) {
      const at = Math.round(top + view.toScreen([0, v])[1]) + 0.5;
      lines.push(`M${left} ${at}H${left + width}`);
      texts.push(svg("text", { x: left - 8, y: at + 3.5, "text-anchor": "end" }, y.format(v)));
    }
    set(this.grid, { d: lines.join("") });
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
      const axes = toAxes(factor, view.sx, view.sy);
      set(this.truth.children[k], { ...radii(axes, SIGMA), transform: placed(view.toScreen(mean), axes.angle) });
    });
  }

  /** What is neither a component nor a value, in a key over the upper right corner; without words where it is narrow. */
  #tell({ box: { left, width } }, { noise, gaps, theme, shades, beside }) {
    const worded = shades ? [["● certain", ""], ["● uncertain", ""]] : [];
    if (noise !== null) worded.push(["● noise", percent(noise)]);
    if (gaps) worded.push(["┄ beyond: no value", `(${count(gaps)})`]);
    const fits = room([beside + worded.flat().join(" ")]) + 28 < left + width;
    const parts = worded.map(([words, value]) => `${fits ? words : words[0]} ${value}`);
    const ends = shades ? [0, 1].map((part) => shade(part, theme)) : [];
    const now = [theme, ...parts].join(" ");
    set(this.key, { x: left + width, y: 17 });
    if (now === this.#keyOf) return;
    this.#keyOf = now;
    this.key.replaceChildren(...parts.map((part, i) => svg("tspan", { dx: i ? 14 : 0 },
      svg("tspan", { style: `fill:${css(ends[i] ?? grey(theme))}` }, part[0]), part.slice(1))));
  }

  #component({ mean, axes, weight }, k, view, { selected, hover, names, theme, hues, stops }) {
    const part = this.#parts[k];
    const fill = colour(k, hues);
    const chosen = k === selected;
    const look = {
      class: `gl-component${chosen ? " is-selected" : ""}${k === hover ? " is-hover" : ""}`,
      transform: placed(view.toScreen(mean)),
      style: `--c:${css(fill)};--l:${css(line(k, theme, hues))};--i:${ink(fill)}`,
    };
    for (const group of part.groups) set(group, look);
    part.ellipses.forEach((pair, i) => {
      for (const each of pair) set(each, { ...radii(axes, i + 1), transform: placed([0, 0], axes.angle) });
    });
    set(part.mean, {
      tabindex: chosen || stops ? 0 : -1,
      "aria-label": `Mean of component ${k + 1}`,
      "aria-valuenow": mean[0], "aria-valuemin": view.x[0], "aria-valuemax": view.x[1],
      "aria-valuetext": `${names[0]} ${number(mean[0])}, ${names[1]} ${number(mean[1])}, weight ${percent(weight)}`,
    });
    set(part.weight, { text: percent(weight) });
    for (const which of ["a", "b"]) this.#axis(part, which, axes, k, chosen);
  }

  #axis(part, which, axes, k, chosen) {
    const [x, y] = tip(axes, which, SIGMA);
    const up = Math.atan2(-y, x);
    set(part[which], {
      transform: placed([x, y], Math.PI / 4 - up),
      tabindex: chosen ? 0 : -1,
      "aria-label": `${which === "a" ? "First" : "Second"} axis of component ${k + 1}`,
      "aria-valuenow": Math.round(axes[which]), "aria-valuemin": 1, "aria-valuemax": 10000,
      "aria-valuetext": `${Math.round(axes[which])} pixels long, turned ${Math.round(degrees(up))} degrees`,
    });
    set(part[`${which}Line`], { x2: x.toFixed(2), y2: y.toFixed(2) });
  }
}

const degrees = (angle) => (angle * 180) / Math.PI;

/** The transform that takes something to a place, and turns it there. */
const placed = ([x, y], angle = 0) => `translate(${x.toFixed(2)} ${y.toFixed(2)}) rotate(${degrees(angle).toFixed(3)})`;

const radii = ({ a, b }, sigma) => ({ rx: Math.max(0.5, sigma * a).toFixed(2), ry: Math.max(0.5, sigma * b).toFixed(2) });

/** The component that an element belongs to, with its part if that is a handle; or null. */
export function owner(element) {
  const { k, part } = element?.closest?.("[data-k]")?.dataset ?? {};
  return k === undefined ? null : { k: Number(k), part };
}

/** The handle that an element belongs to, or null. */
export function handleAt(element) {
  const found = owner(element);
  return found?.part ? found : null;
}

/** The elements of one component. */
function component(k, layers) {
  const handle = (part, kind, ...content) =>
    svg(`g.gl-handle.${kind}`, { role: "slider", "data-k": k, "data-part": part, ...KEYS_STAY }, svg("circle.gl-hit"), ...content);
  const ellipses = [
    [svg("ellipse.gl-halo"), svg("ellipse.gl-one")],
    [svg("ellipse.gl-halo"), svg("ellipse.gl-two", { "stroke-dasharray": dash(k) })],
  ];
  const [aLine, bLine] = [0, 1].map(() => svg("line.gl-spoke"));
  const number = svg("text.gl-number", { "text-anchor": "middle", y: 4 }, k + 1);
  const weight = svg("text.gl-weight", { x: 17, y: 4, ...SILENT });
  const mean = handle("mean", "gl-mean", svg("circle.gl-ring", { r: 15 }), svg("circle.gl-knob", { r: 10 }), number);
  const [a, b] = ["a", "b"].map((part) =>
    handle(part, "gl-axis", svg("circle.gl-ring", { r: 10 }), svg("rect.gl-grip", { x: -5, y: -5, width: 10, height: 10, rx: 2.5 })));
  const groups = [
    svg("g", { "data-k": k }, ...ellipses[1], ...ellipses[0]), svg("g", { "data-k": k }, aLine, bLine, mean, weight, a, b),
  ];
  layers.forEach((layer, i) => layer.append(groups[i]));
  return { groups, ellipses, mean, weight, a, b, aLine, bLine };
}

/** A sentence for each component, for those who do not see the plot. */
export function summary({ n, names, components, noise, gaps }) {
  if (!n) return "No points yet.";
  const each = components.map(({ mean, weight }, k) =>
    `Component ${k + 1}: weight ${percent(weight)}, mean ${names[0]} ${number(mean[0])}, ${names[1]} ${number(mean[1])}.`);
  if (noise !== null) each.push(`Noise: weight ${percent(noise)}.`);
  if (gaps) each.push(`${count(gaps)} points have no value in one of these columns and stand in the margin.`);
  return `${count(n)} points, ${names[1]} against ${names[0]}, with ${components.length} components. ${each.join(" ")}`;
}
