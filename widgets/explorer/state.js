// What an Explorer's view knows, and how frames become it.
import { bytes, floats } from "../shared/panel.js";

/** @param {{get: (name: string) => any}} model */
export const initial = (model) => ({
  points: null, labels: null, n: 0, gaps: 0, borders: [null, null], noise: null, names: model.get("names") ?? [],
  dims: [...(model.get("dims") ?? [0, 1])], components: [], shape: "free", chart: null, step: 0, evidence: null,
  selected: model.get("selected") ?? null, hover: null, adding: false,
  merging: false, lasso: false, line: null, brush: null, row: null, card: null, contours: null, shades: null, truth: [],
  note: model.get("note") ?? "",
});

/** Whether the fit goes on, or would if more rows came. */
export const goesOn = (play) => play === "playing" || play === "waiting";

/** Buffers are the labels, then the grid of the contours if there is one, then the shades if colours are those. */
export function fromFrame({ evidence, components, noise, shape, chart, card, contours, color_by }, buffers) {
  const [labels, ...rest] = buffers;
  const grid = contours && rest.length ? { ...contours, grid: floats(rest.shift()) } : null;
  return {
    evidence, components, noise: noise ?? null, shape: shape ?? "free", chart, labels: labels ? bytes(labels) : null,
    card: card ?? null, contours: grid, shades: color_by === "uncertainty" && rest.length ? bytes(rest[0]) : null,
  };
}
