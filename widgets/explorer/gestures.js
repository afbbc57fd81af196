// Mouse, touch and pen on the plot: drag a handle, pan, pinch, click, double-click, wheel.
import { set } from "../shared/dom.js";
import { handleAt, owner } from "./overlay.js";

const SLOP = 3; // pixels before a press becomes a drag

/** @param {import("./plot.js").Plot} plot */
export function gestures(plot) {
  const { element } = plot.overlay;
  const pointers = new Map();
  let held = null; // the handle being dragged
  let moved = false;
  let line = null; // the lasso being drawn
  let start = [0, 0];

  const at = (event) => {
    const { x, y } = element.getBoundingClientRect();
    const { left, top } = plot.view.box;
    return [event.clientX - x - left, event.clientY - y - top];
  };
  const component = (target) => owner(target)?.k ?? null;

  const down = (event) => {
    if (event.button > 0) return;
    event.preventDefault(); // no text selection; focus is given below
    const place = at(event);
    pointers.set(event.pointerId, place);
    element.setPointerCapture(event.pointerId);
    if (pointers.size > 1) {
      line = null;
      return plot.lasso(null);
    }
    [start, moved] = [place, false];
    held = plot.takes() ? handleAt(event.target) : null;
    line = !held && plot.lassoes(event) ? [place] : null;
    plot.press(held, place);
  };

  const move = (event) => {
    if (!pointers.has(event.pointerId)) return plot.hover(component(event.target));
    const before = pointers.get(event.pointerId);
    const place = at(event);
    if (!moved && Math.hypot(place[0] - start[0], place[1] - start[1]) < SLOP) return;
    moved = true;
    pointers.set(event.pointerId, place);
    if (line) plot.lasso(line.push(place) && line, event);
    else if (held) plot.drag(held, place, event.shiftKey);
    else if (pointers.size === 1) plot.pan(place[0] - before[0], place[1] - before[1]);
    else pinch(event.pointerId, before, place);
  };

  const pinch = (id, before, place) => {
    const other = [...pointers].find(([key]) => key !== id)[1];
    const spread = (p) => Math.max(20, Math.hypot(p[0] - other[0], p[1] - other[1]));
    plot.zoom(spread(place) / spread(before), (place[0] + other[0]) / 2, (place[1] + other[1]) / 2);
  };

  const up = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    const given = event.type === "pointerup";
    if (line && moved) plot.lassoed(given && line, event);
    else if (held) plot.drop();
    else if (!moved && given) plot.click(component(hit(event)), at(event));
    if (!pointers.size) plot.settle();
    held = line = null;
  };

  // while the pointer is captured every event is aimed at the plot: ask what really lies below
  const hit = (event) => element.getRootNode().elementFromPoint(event.clientX, event.clientY);

  const wheel = (event) => {
    const grow = Math.exp(-Math.max(-240, Math.min(240, event.deltaY * (event.deltaMode ? 20 : 1))) * 0.0022);
    const over = owner(event.target)?.part === "mean" && plot.hasFocus();
    if ((event.altKey || over) && plot.scale(component(event.target), grow)) return event.preventDefault();
    if (!(event.ctrlKey || event.metaKey || plot.hasFocus())) return plot.showHint();
    event.preventDefault();
    plot.zoom(grow, ...at(event));
  };

  set(element, {
    pointerdown: down,
    pointermove: move,
    pointerup: up,
    pointercancel: up,
    wheel, // of an element, not of the page: it may keep the page from scrolling
    pointerleave: () => plot.hover(null),
    dblclick: (event) => !handleAt(hit(event)) && plot.add(at(event)),
  });
}
