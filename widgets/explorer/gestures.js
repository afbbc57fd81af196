// Mouse, touch and pen on the plot: drag a handle, pan, pinch, click, double-click, wheel.

const SLOP = 3; // pixels before a press becomes a drag

/**
 * @param {SVGElement} plot @param {() => {left: number, top: number}} origin of the plot's inside
 * @param {object} act takes, press, drag, drop, pan, rest, zoom, lasso, lassoed, scale, click, add, hover, hint, focused
 */
export function gestures(plot, origin, act) {
  const pointers = new Map();
  let held = null; // the handle being dragged
  let moved = false;
  let line = null; // the lasso being drawn
  let start = [0, 0];

  const at = (event) => {
    const box = plot.getBoundingClientRect();
    const { left, top } = origin();
    return [event.clientX - box.left - left, event.clientY - box.top - top];
  };
  const handleOf = (event) => event.target.closest?.("[data-part]");
  const componentOf = (event) => {
    const found = event.target.closest?.("[data-k]");
    return found ? Number(found.dataset.k) : null;
  };

  const down = (event) => {
    if (event.button > 0) return;
    event.preventDefault(); // no text selection; focus is given below
    const place = at(event);
    pointers.set(event.pointerId, place);
    plot.setPointerCapture(event.pointerId);
    if (pointers.size > 1) {
      line = null;
      return act.lasso(null);
    }
    [start, moved] = [place, false];
    const handle = act.takes() ? handleOf(event) : null;
    held = handle ? { k: Number(handle.dataset.k), part: handle.dataset.part } : null;
    line = !held && act.lassoes(event) ? [place] : null;
    act.press(held, place);
  };

  const move = (event) => {
    if (!pointers.has(event.pointerId)) return act.hover(componentOf(event));
    const before = pointers.get(event.pointerId);
    const place = at(event);
    if (!moved && Math.hypot(place[0] - start[0], place[1] - start[1]) < SLOP) return;
    moved = true;
    pointers.set(event.pointerId, place);
    if (line) act.lasso(line.push(place) && line, event);
    else if (held) act.drag(held, place, event.shiftKey);
    else if (pointers.size === 1) act.pan(place[0] - before[0], place[1] - before[1]);
    else pinch(event.pointerId, before, place);
  };

  const pinch = (id, before, place) => {
    const other = [...pointers].find(([key]) => key !== id)[1];
    const spread = (p) => Math.max(20, Math.hypot(p[0] - other[0], p[1] - other[1]));
    act.zoom(spread(place) / spread(before), (place[0] + other[0]) / 2, (place[1] + other[1]) / 2);
  };

  const up = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (line && moved) act.lassoed(event.type === "pointerup" && line, event);
    else if (held) act.drop(held, moved);
    else if (!moved && event.type === "pointerup") act.click(componentOf(hit(event)), at(event));
    if (!pointers.size) act.rest();
    held = line = null;
  };

  // while the pointer is captured every event is aimed at the plot: ask what really lies below
  const hit = (event) => ({ target: plot.getRootNode().elementFromPoint(event.clientX, event.clientY) ?? plot });

  const wheel = (event) => {
    const grow = Math.exp(-Math.max(-240, Math.min(240, event.deltaY * (event.deltaMode ? 20 : 1))) * 0.0022);
    const over = event.target.closest?.("[data-part=mean]") && act.focused();
    if ((event.altKey || over) && act.scale(componentOf(event), grow)) return event.preventDefault();
    if (!(event.ctrlKey || event.metaKey || act.focused())) return act.hint();
    event.preventDefault();
    act.zoom(grow, ...at(event));
    act.rest();
  };

  plot.addEventListener("pointerdown", down);
  plot.addEventListener("pointermove", move);
  plot.addEventListener("pointerup", up);
  plot.addEventListener("pointercancel", up);
  plot.addEventListener("pointerleave", () => act.hover(null));
  plot.addEventListener("dblclick", (event) => !handleOf(hit(event)) && act.add(at(event)));
  plot.addEventListener("wheel", wheel, { passive: false });
}
