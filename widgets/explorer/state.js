// What an Explorer's view knows, and how frames become it.
import { bytes } from "../shared/panel.js";

/** @param {{get: (name: string) => any}} model */
export const initial = (model) => ({
  points: null, labels: null, n: 0, gaps: 0, borders: [null, null], noise: null, names: model.get("names") ?? [],
  dims: [...(model.get("dims") ?? [0, 1])], components: [], shape: "free", trace: [], step: 0, evidence: null,
  selected: model.get("selected") ?? null, hover: null, adding: false,
});

export function fromFrame({ evidence, components, noise, shape, trace }, buffers) {
  return {
    evidence, components, noise: noise ?? null, shape: shape ?? "free", trace, labels: buffers.length ? bytes(buffers[0]) : null,
  };
}
