// Keys that belong to a widget stay in it.
import { focused, focusOn, set } from "./dom.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Pixels to move for an arrow key: Shift takes bigger steps, Alt fine ones. Null for other keys. */
export function nudge(event, step = 8) {
  const arrow = ARROWS[event.key];
  if (!arrow) return null;
  const size = step * (event.shiftKey ? 5 : 1) * (event.altKey ? 0.125 : 1);
  return [arrow[0] * size, arrow[1] * size];
}

/** Whether the element uses the key itself: a field its letters, a button Space and Enter. */
export function usesKey(element, key) {
  if (element.tagName === "SELECT" || element.tagName === "INPUT") return key !== "Escape";
  if (element.tagName === "BUTTON") return key === " " || key === "Enter";
  return false;
}

/** Keeps every key inside `root` from reaching the notebook, except Tab. */
export function keepKeys(root) {
  const keep = (event) => event.key !== "Tab" && event.stopPropagation();
  set(root, { keydown: keep, keyup: keep, keypress: keep });
}

/** Gives the focus back to the notebook around the widget. */
export function leave(root) {
  focused(root)?.blur();
  focusOn(root.parentElement?.closest(".jp-Cell, .jp-Notebook, [tabindex]"));
}
