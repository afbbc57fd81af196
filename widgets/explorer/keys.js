// The keyboard. Keys act while the focus is inside the widget and nothing there uses them itself.
import { focused, set } from "../shared/dom.js";
import { pull, tip } from "../shared/ellipse.js";
import { leave, nudge, usesKey } from "../shared/keyboard.js";
import { SIGMA, handleAt, owner } from "./overlay.js";

const PRESSES = { " ": "play", s: "step", e: "e", m: "m", Backspace: "back", 0: "fit", "?": "help",
  l: "lasso", c: "contours", u: "uncertainty", 1: "merge", 2: "split", n: "reseed" };

export function keys(app) {
  set(app.root, { keydown: (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || usesKey(target, key)) return;
    if (obey(app, event, handleAt(target))) event.preventDefault();
  } });
}

/** True if the key meant something. */
function obey(app, event, handle) {
  const { key } = event;
  if (key === "Escape") return escape(app);
  if (key === "Delete") return app.remove(handle?.k ?? app.state.selected), true;
  if (key === "[" || key === "]") return walk(app, key === "]" ? 1 : -1), true;
  const press = PRESSES[key.length === 1 ? key.toLowerCase() : key];
  if (press) {
    if (!event.repeat || press === "step" || press === "back") (app.bar.buttons[press] ?? app.chosen[press]).click();
    return true;
  }
  if (key === "r") return app.markSelected(), true;
  if (key === "i") return app.inspect(), true;
  if (key === "Enter" && handle) return app.select(handle.k), true;
  if (handle) return steer(app, event, handle);
  return event.target === app.plot.surface && look(app, event);
}

function escape(app) {
  if (!app.help.element.hidden) app.toggleHelp(false);
  else if (app.state.adding || app.state.merging || app.state.lasso) app.change({ adding: false, merging: false, lasso: false });
  else if (app.state.card) app.turnTo(null);
  else leave(app.root);
  return true;
}

function walk(app, by) {
  const k = app.state.components.length;
  const at = app.state.merging ? owner(focused(app.root))?.k : null; // the selected one waits for its pair
  const from = at ?? app.state.selected ?? (by > 0 ? -1 : 0);
  if (!k) return;
  if (app.state.merging) app.plot.focus((from + by + k) % k);
  else app.select((from + by + k) % k, true);
}

/** Moves a mean, turns and stretches an axis, scales with plus and minus. */
function steer(app, event, { k, part }) {
  if (!app.state.components[k]) return false;
  const { mean, axes } = app.plot.component(k);
  const grow = { "+": 1.06, "=": 1.06, "-": 1 / 1.06 }[event.key];
  if (grow) return app.scale(k, grow);
  const by = nudge(event);
  if (!by) return false;
  const { view } = app.plot;
  if (part === "mean") {
    const [x, y] = view.toScreen(mean);
    app.edit(k, { mean: view.toData([x + by[0], y + by[1]]) });
  } else app.edit(k, { axes: turned(axes, part, by, app.state.shape) });
  return true;
}

/** Up and down stretch, left and right turn; an arrow key is about 8 pixels at the tip. */
function turned(axes, part, [dx, dy], shape) {
  if (shape !== "free") dx = 0;
  const wish = { angle: axes.angle + dx / Math.max(40, axes[part] * SIGMA), [part]: Math.max(1, axes[part] - dy / SIGMA) };
  return pull(axes, part, tip(wish, part, SIGMA), SIGMA, false, shape);
}

/** Pans and zooms the plot. */
function look(app, event) {
  const { plot } = app;
  const { width, height } = plot.view.box;
  const grow = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
  if (grow) return plot.zoom(grow, width / 2, height / 2), true;
  const by = nudge(event, 24);
  if (by) plot.pan(-by[0], -by[1]);
  return Boolean(by);
}
