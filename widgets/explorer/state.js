// What a view knows, and how messages become it.

/** @param {{get: (name: string) => any}} model */
export const initial = (model) => ({
  points: null, labels: null, n: 0, gaps: 0, borders: [null, null], noise: null, names: model.get("names") ?? [], dims: [...(model.get("dims") ?? [0, 1])],
  components: [], shape: "free", trace: [], step: 0, evidence: null, play: "idle", status: "", error: null,
  selected: model.get("selected") ?? null, hover: null, adding: false,
  ready: false, connected: true, stale: false, mode: "loading", theme: "light",
});

export function fromFrame({ step, play, evidence, status, error, components, noise, shape, trace }, buffers) {
  return {
    step, play, evidence, status, error, components, noise: noise ?? null, shape: shape ?? "free", trace, ready: true,
    labels: buffers.length ? bytes(buffers[0]) : null,
  };
}

/** @param {DataView} view */
const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** A copy, because a buffer may lie at any byte of its message. @param {DataView} view */
export const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
