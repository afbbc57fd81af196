// The keyboard. Keys act while the focus is inside the widget and nothing there uses them itself.
import { pull } from "../shared/ellipse.js";
import { leave, nudge, usesKey } from "../shared/keyboard.js";
import { SIGMA } from "./overlay.js";

const PRESSES = { " ": "play", s: "step", e: "e", m: "m", Backspace: "back", 0: "fit", "?": "help",
  l: "lasso", c: "contours", u: "uncertainty", 1: "merge", 2: "split", n: "reseed" };

export function keys(app) {
  app.root.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || usesKey(target, key)) return;
    if (obey(app, event, target.closest?.("[data-part]"))) event.preventDefault();
  });
}

/** True if the key meant something. */
function obey(app, event, handle) {
  const { key } = event;
  if (key === "Escape") return escape(app);
  if (key === "Delete") return app.remove(handle ? Number(handle.dataset.k) : app.state.selected), true;
  if (key === "[" || key === "]") return walk(app, key === "]" ? 1 : -1), true;
  const press = PRESSES[key.length === 1 ? key.toLowerCase() : key];
  if (press) {
    if (!event.repeat || press === "step" || press === "back") (app.bar.buttons[press] ?? app.chosen[press]).click();
    return true;
  }
  if (key === "r") return app.markSelected(), true;
  if (key === "i") return app.inspect(), true;
  if (key === "Enter" && handle) return app.select(Number(handle.dataset.k)), true;
  if (handle) return steer(app, event, { k: Number(handle.dataset.k), part: handle.dataset.part });
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
  const at = app.root.getRootNode().activeElement?.closest("[data-k]")?.dataset.k; // the selected one waits for its pair
  const from = (app.state.merging && at ? Number(at) : app.state.selected) ?? (by > 0 ? -1 : 0);
  if (!k) return;
  if (app.state.merging) app.plot.focus((from + by + k) % k);
  else app.select((from + by + k) % k, true);
}

/** Moves a mean, turns and stretches an axis, scales with plus and minus. */
function steer(app, event, { k, part }) {
  if (!app.state.components[k]) return false;
  const { mean, axes } = app.plot.component(k);
  const grow = { "+": 1.06, "=": 1.06, "-": 1 / 1.06 }[event.key];
  if (grow) return app.edit(k, { axes: { ...axes, a: axes.a * grow, b: axes.b * grow } }), true;
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
  const length = Math.max(1, axes[part] - dy / SIGMA);
  const angle = axes.angle + dx / Math.max(40, axes[part] * SIGMA) + (part === "b" ? Math.PI / 2 : 0);
  return pull(axes, part, [Math.cos(angle) * length * SIGMA, Math.sin(angle) * length * SIGMA], SIGMA, false, shape);
}

/** Pans and zooms the plot. */
function look(app, event) {
  const { plot } = app;
  const { width, height } = plot.view.box;
  const grow = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
  if (grow) return plot.move(() => plot.view.zoom(grow, width / 2, height / 2)), true;
  const by = nudge(event, 24);
  if (by) plot.move(() => plot.view.pan(-by[0], -by[1]));
  return Boolean(by);
}
