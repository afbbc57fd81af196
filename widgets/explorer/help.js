// The small panel behind "?".
import { html, BUTTON, KEYS_STAY } from "../shared/dom.js";

const ROWS = [
  ["Components", [
    ["[  ]", "previous, next"], ["Arrows", "move, or turn and stretch an axis"], ["Shift  Alt", "bigger, finer steps"],
    ["+  −", "scale the selected one"], ["Alt-wheel", "the same"], ["Delete", "remove"], ["Double-click", "add there"],
    ["2", "split in two"], ["1", "merge into one"], ["N", "begin anew elsewhere (without a selection: all)"],
    ["Shift-drag", "an axis: scale, keep the shape"],
  ]],
  ["Fit", [["Space", "play, pause"], ["S", "one step"], ["E  M", "half a step: assign, refit"], ["Backspace", "back"]]],
  ["Rows", [
    ["L", "lasso on, off"], ["Shift-drag", "lasso once"], ["Ctrl  Alt", "add to the marks, take away"], ["R", "mark those of the selected one"],
    ["Click", "card of a row; elsewhere: unmark"], ["I", "card by number"],
  ]],
  ["View", [["C  U", "contours, uncertainty"], ["Drag", "pan"], ["Wheel", "zoom (Ctrl outside)"], ["0", "show all"], ["Esc", "leave to the notebook"]]],
];

export function help(close) {
  const button = html("button.gl-button.gl-quiet", { ...BUTTON, click: close }, "Close");
  const section = ([title, rows]) =>
    html("section", html("h4", title),
      html("dl", ...rows.map(([keys, does]) =>
        html("div", html("dt", ...keys.split("  ").map((key) => html("kbd", key))), html("dd", does)))));
  const element = html("div.gl-help", { role: "dialog", "aria-label": "Keys and gestures", hidden: "" },
    html("div.gl-help-head", html("strong", "Keys and gestures"), button),
    html("div.gl-sections", { tabindex: 0, ...KEYS_STAY }, ...ROWS.map(section)));
  return { element, button };
}
