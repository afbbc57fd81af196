// Buttons, choices, switches and sliders beside a view; the same everywhere.
import { html, icon, set, uid, BUTTON, KEYS_STAY, SILENT } from "./dom.js";
import { tone } from "./marks.js";
import { number } from "./view.js";

export const ICONS = {
  play: ["M4.5 2.8v10.4L13 8z", true],
  pause: ["M4.5 3h2.4v10H4.5zM9.1 3h2.4v10H9.1z", true],
  step: ["M3.5 3.5v9l6-4.5zM12.2 3.5v9"],
  back: ["M12.5 3.5v9l-6-4.5zM3.8 3.5v9"],
  stop: ["M4 4h8v8H4z", true],
  reset: ["M3.2 8a4.8 4.8 0 1 0 1.6-3.6M3 2.6v2.6h2.6"],
  add: ["M8 3v10M3 8h10"],
  remove: ["M3 8h10"],
  reseed: ["M3.4 3.4h9.2v9.2H3.4zM6 6v.1M10 6v.1M8 8v.1M6 10v.1M10 10v.1"],
  fit: ["M7 2.6a4.4 4.4 0 1 0 0 8.8 4.4 4.4 0 0 0 0-8.8M10.2 10.2l3.3 3.3M7 7v.1"],
  lasso: ["M6 9.4C3.8 8.9 2.4 7.7 2.4 6.2 2.4 4.2 4.9 2.6 8 2.6s5.6 1.6 5.6 3.6S11.1 9.8 8 9.8M4.6 11a1.6 1.6 0 1 0 3.2 0 1.6 1.6 0 1 0-3.2 0M4.8 11.8c.2 1-.3 1.6-1.2 1.9"],
  contours: ["M8 2.5c4 0 5.8 2.4 5.8 5.4S12 13.5 8 13.5 2.2 10.9 2.2 7.9 4.2 2.5 8 2.5M8.2 5.5c1.9 0 2.9 1 2.9 2.6s-1.2 2.6-3 2.6-3.1-1.1-3.1-2.6 1.3-2.6 3.2-2.6"],
  uncertainty: ["M8 2.6a5.4 5.4 0 1 0 0 10.8 5.4 5.4 0 0 0 0-10.8M8 2.6v10.8M10.6 4.2v7.6"],
  split: ["M8 3v3L4 9.5V13M8 6l4 3.5V13"],
  merge: ["M4 3v3l4 4v3M12 3v3l-4 4"],
  help: ["M6 6.1c.1-2.7 4.3-2.6 4.2 0C10.1 7.7 8 7.8 8 9.6M8 12.2v.1"],
};

/** A button with an icon if there is one of its name, of a `kind` (".gl-quiet"); nothing happens while it is disabled. */
export function button(name, text, title, act, { label = text, short = text, kind = "", attributes = {} } = {}) {
  return html(
    `button.gl-button${kind}`,
    {
      ...BUTTON, "data-do": name, title, "aria-label": label,
      click: (event) => event.currentTarget.getAttribute("aria-disabled") !== "true" && act(event),
      ...attributes,
    },
    ICONS[name] ? icon(...ICONS[name]) : null,
    html(ICONS[name] ? "span.gl-text" : "span.gl-letter", short),
  );
}

export const group = (label, ...parts) => html("div.gl-group", { role: "group", "aria-label": label }, ...parts);

/** Controls that the kernel describes (`Control` of gmmlab/plot/chart.py); kept while their names stay. */
export class Controls {
  #parts = new Map();
  #controls = [];

  /** @param {(name: string, value: any) => void} turn */
  constructor(turn) {
    this.turn = turn;
    this.element = html("div.gl-controls", { role: "group", "aria-label": "Settings" });
  }

  /** A key of a control; true if it is one. */
  press(key) {
    const pressed = this.#controls.find(({ keys = [] }) => keys.includes(key));
    if (!pressed) return false;
    const { name, kind, options, low, high, step, value, keys } = pressed;
    const i = keys.indexOf(key);
    if (kind === "choice") pressed.value = options[i]?.[0] ?? value;
    else if (kind === "switch") pressed.value = !value;
    else if (kind === "number") pressed.value = Math.max(low, Math.min(high, value + (i ? step : -step)));
    this.turn(name, kind === "button" ? true : pressed.value);
    return true;
  }

  update(controls, able = true, style = null) {
    this.#controls = controls;
    const names = controls.map(({ name, kind, options }) => [name, kind, JSON.stringify(options)].join(" "));
    if (names.join() !== [...this.#parts.keys()].join()) {
      this.#parts = new Map(controls.map((each, i) => [names[i], MAKE[each.kind](each, this.turn)]));
      this.element.replaceChildren(...[...this.#parts.values()].map(({ element }) => element));
    }
    this.element.hidden = !controls.length;
    controls.forEach((each, i) => this.#parts.get(names[i]).update(each, able, style));
  }
}

function choice({ name, label, options, title, keys = [], tones = [] }, turn) {
  if (options.length > 4 && !keys.length) return list({ name, label, options, title }, turn);
  const signs = options.map((_, i) => (tones[i] === undefined ? null : html("span.gl-swatch", SILENT)));
  const buttons = options.map(([value, words], i) =>
    html("button.gl-button.gl-segment", { ...BUTTON, "data-value": value, title: keys[i] && `${words} (key ${keys[i]})`, "aria-keyshortcuts": keys[i],
      click: () => turn(name, value) }, signs[i], html("span", words)));
  const element = html("div.gl-control", { role: "group", "aria-label": label || name, title }, label ? html("span", label) : null, html("div.gl-segments", ...buttons));
  const update = ({ value }, _, style) => {
    buttons.forEach((each, i) => set(each, { "aria-pressed": options[i][0] === value }));
    if (style) signs.forEach((sign, i) => sign && (sign.style.background = tone(tones[i], style)));
  };
  return { element, update };
}

function list({ name, label, options, title }, turn) {
  const id = uid(name);
  const select = html("select.gl-select", { id, "aria-label": label ? null : name, ...KEYS_STAY, change: (event) => turn(name, options[event.target.selectedIndex][0]) },
    ...options.map(([, words]) => html("option", words)));
  const element = html("div.gl-control", { title }, label ? html("label", { for: id }, label) : null, select);
  return { element, update: ({ value }) => (select.selectedIndex = options.findIndex(([each]) => each === value)) };
}

function switch_({ name, label, title }, turn) {
  let on = false;
  const element = html("button.gl-button.gl-switch", { ...BUTTON, title, click: () => turn(name, !on) }, label);
  return { element, update: ({ value }) => set(element, { "aria-pressed": (on = value) }) };
}

/** A slider with its value beside it; Delete or a double click takes it home. */
function slider({ name, label, low, high, step, title, power, ends, home, keys = [] }, turn) {
  const id = uid(name);
  const value = html("output", { for: id, ...SILENT }); // the slider says it itself, once
  let shown = null;
  let held = null; // what the hand says, until the kernel says it too
  const written = (v) => (v <= low && ends[0]) || (v >= high && ends[1]) || number(power ? 10 ** v : v, power ? 2 : 3);
  const input = html("input.gl-slider", { id, type: "range", min: low, max: high, step, "aria-keyshortcuts": keys.join(" ") || null, ...KEYS_STAY });
  const write = (v) => {
    input.value = String(v);
    set(value, { text: written(v) });
    set(input, { "aria-valuetext": written(v) });
  };
  const say = (v) => {
    held = v;
    write(v);
    turn(name, v);
  };
  const release = () => (held = null);
  const reset = (event) => {
    if (home === null) return;
    event.preventDefault();
    say(home);
    release();
  };
  set(input, {
    input: () => say(Number(input.value)),
    change: release,
    dblclick: reset,
    keydown: (event) => ["Delete", "Backspace"].includes(event.key) && reset(event),
  });
  const element = html("div.gl-control", { title }, html("label", { for: id }, label), input, value);
  return {
    element,
    update: ({ value: now }) => {
      if (held !== null || now === shown) return;
      shown = now;
      write(now);
    },
  };
}

function press({ name, label, title, keys = [] }, turn) {
  const said = [title, keys.length ? `(key ${keys.join(", ")})` : ""].filter(Boolean).join(" ");
  const element = html("button.gl-button.gl-press", { ...BUTTON, title: said || null, "aria-keyshortcuts": keys.join(" ") || null, click: () => turn(name, true) }, label);
  return { element, update() {} };
}

const MAKE = { choice, switch: switch_, number: slider, button: press };
