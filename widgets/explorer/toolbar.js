// The row of buttons, and the two lists of columns.
import { ICONS, button as make, group as gather } from "../shared/controls.js";
import { html, icon, set, uid, KEYS_STAY } from "../shared/dom.js";
import { goesOn } from "./state.js";

/**
 * @param {Record<string, (event: Event) => void>} act what each button does
 * @param {(axis: 0 | 1, column: number) => void} choose
 */
export function toolbar(act, choose) {
  const button = (name, text, title, extra) => make(name, text, title, (event) => act[name](event), extra);
  const tool = (name, text, title) => button(name, text, title, { short: "", kind: ".gl-tool" });
  const buttons = {
    play: button("play", "Play", "Run the fit, or pause it (Space)"),
    back: button("back", "Back", "Undo the last change (Backspace)"),
    step: button("step", "Step", "One whole step: E, then M (S)"),
    e: button("e", "E step: assign points", "E step: assign points to components (E)", { short: "E" }),
    m: button("m", "M step: refit components", "M step: refit components to their points (M)", { short: "M" }),
    stop: button("stop", "Stop", "Stop the fit"),
    reset: button("reset", "Reset", "Reset: back to where the fit began"),
    add: button("add", "Add", "Add a component: then choose its place (or double-click the plot)", { label: "Add a component" }),
    remove: button("remove", "Remove", "Remove the selected component (Delete)", { label: "Remove the selected component" }),
    reseed: button("reseed", "Reseed", "Begin anew at other rows: the selected component, or all of them (N)", { short: "" }),
    lasso: tool("lasso", "Lasso", "Draw around rows to mark them (L; or Shift-drag)"),
    contours: tool("contours", "Contours", "Contours of the density (C)"),
    uncertainty: tool("uncertainty", "Colour by uncertainty", "Colour by how uncertain rows are (U)"),
    fit: button("fit", "Fit view", "Show all points (0)", { kind: ".gl-quiet" }),
    help: button("help", "Help", "Keys and gestures (?)", {
      label: "Keys and gestures", kind: ".gl-quiet", attributes: { "aria-expanded": false },
    }),
  };
  const group = (label, ...names) => gather(label, ...names.map((name) => buttons[name]));
  const selects = [0, 1].map((axis) => select(axis, choose));
  const columns = html("div.gl-group.gl-columns", { role: "group", "aria-label": "Columns shown" },
    ...selects.map(({ label }) => label));
  const element = html(
    "div.gl-toolbar",
    { role: "toolbar", "aria-label": "Explorer" },
    html("div.gl-tools",
      group("Run", "play"), group("Step by step", "back", "step", "e", "m"), group("End", "stop", "reset"),
      group("Components", "add", "remove", "reseed"), columns),
    group("View", "lasso", "contours", "uncertainty", "fit", "help"),
  );
  return { element, buttons, update: (state) => update(state, buttons, columns, selects) };
}

function select(axis, choose) {
  const id = uid("column");
  const list = html("select.gl-select", {
    id, ...KEYS_STAY, "data-axis": "xy"[axis],
    change: (event) => choose(axis, event.target.selectedIndex),
  });
  const label = html("span.gl-pick", html("label", { for: id }, "xy"[axis]), list);
  return { label, list, names: "" };
}

function update({ play, selected, components, names, dims, connected, ready, ...view }, buttons, columns, selects) {
  const playing = goesOn(play);
  const able = ready && connected;
  const off = (name, is) => set(buttons[name], { "aria-disabled": is || null });
  if (buttons.play.dataset.shows !== (playing ? "pause" : "play")) {
    const shows = (buttons.play.dataset.shows = playing ? "pause" : "play");
    const text = playing ? "Pause" : "Play";
    set(buttons.play, { "aria-pressed": playing, "aria-label": text });
    buttons.play.replaceChildren(icon(...ICONS[shows]), html("span.gl-text", text));
  }
  for (const name of ["play", "step", "back", "e", "m", "reset", "add", "reseed"]) off(name, !able);
  off("stop", !able || !playing);
  off("remove", !able || selected === null || components.length < 2);
  const pressed = { add: view.adding, lasso: view.lasso, contours: Boolean(view.contours), uncertainty: Boolean(view.shades) };
  for (const [name, is] of Object.entries(pressed)) set(buttons[name], { "aria-pressed": is });
  for (const name of ["lasso", "contours", "uncertainty"]) off(name, !able);
  columns.hidden = names.length < 3;
  columns.closest(".gl-toolbar").classList.toggle("has-columns", !columns.hidden);
  selects.forEach((entry, axis) => {
    const joined = names.join("\n");
    if (entry.names !== joined) {
      entry.names = joined;
      entry.list.replaceChildren(...names.map((name) => html("option", name)));
    }
    entry.list.selectedIndex = dims[axis];
    set(entry.list, { title: names[dims[axis]] ?? "" }); // long names are cut
    entry.list.disabled = !able;
  });
}
