import assert from "node:assert/strict";
import { test } from "node:test";
import { mark } from "../shared/brush.js";
import { TOOLS, drops, ends, nearSegment, thinned } from "../shared/tools.js";

const UNIT = { ax: 100, bx: 0, ay: 100, by: 0 };
const points = Float32Array.of(0.1, 0.1, 0.5, 0.5, 0.9, 0.1, 0.5, 0.9);
const touched = (name, path, radius = 0) => [...mark(new Uint8Array(4), points, UNIT, TOOLS[name].touches(path, radius))];

test("a point is near a segment, its ends, or a single place", () => {
  assert.equal(nearSegment(5, 3, [0, 0], [10, 0], 3), true);
  assert.equal(nearSegment(5, 3.1, [0, 0], [10, 0], 3), false);
  assert.equal(nearSegment(12, 0, [0, 0], [10, 0], 2), true);
  assert.equal(nearSegment(12.1, 0, [0, 0], [10, 0], 2), false);
  assert.equal(nearSegment(1, 1, [0, 0], [0, 0], 1.5), true);
});

test("a box is drawn from any corner", () => {
  const corners = [[[0, 0], [60, 60]], [[60, 0], [0, 60]], [[60, 60], [0, 0]]];
  for (const path of corners) assert.deepEqual(touched("box", path), [1, 1, 0, 0]);
});

test("a lasso takes what is inside, a round brush what its latest piece touches", () => {
  assert.deepEqual(touched("lasso", [[0, 0], [100, 0], [50, 60]]), [1, 1, 1, 0]);
  assert.deepEqual(touched("round", [[0, 90], [10, 10], [90, 10]], 5), [1, 0, 1, 0]);
  assert.deepEqual(touched("round", [[50, 86]], 5), [0, 0, 0, 1]);
});

test("a brush adds to what was marked", () => {
  const mask = Uint8Array.of(0, 0, 0, 1);
  mark(mask, points, UNIT, TOOLS.round.touches([[10, 10]], 2));
  assert.deepEqual([...mask], [1, 0, 0, 1]);
});

test("a long path is thinned and keeps its ends", () => {
  const path = Array.from({ length: 2000 }, (_, i) => [i, i]);
  const thin = thinned(path);
  assert.equal(thin.length, 500);
  assert.deepEqual([thin[0], thin.at(-1)], [path[0], path.at(-1)]);
  assert.equal(new Set(thin).size, 500);
  assert.equal(thinned(path.slice(0, 3)).length, 3);
});

test("only what is set by two places forgets its way", () => {
  assert.deepEqual(Object.keys(TOOLS).filter(ends), ["box", "line"]);
});

test("drops fall evenly into their disc", () => {
  let i = 0;
  const steps = () => (i++ % 100) / 100;
  const found = drops([10, 20], 5, 200, steps);
  assert.equal(found.length, 200);
  assert.ok(found.every(([x, y]) => Math.hypot(x - 10, y - 20) <= 5));
  assert.deepEqual(drops([0, 0], 5, 0), []);
  assert.deepEqual(drops([1, 2], 0, 1), [[1, 2]]);
});
