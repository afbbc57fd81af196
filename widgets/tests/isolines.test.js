import assert from "node:assert/strict";
import test from "node:test";
import { isoline } from "../shared/isolines.js";

const SIZE = 41;

/** The ends of all parts of a line. */
const ends = (path) => [...path.matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);

function grid(f) {
  return Float32Array.from({ length: SIZE * SIZE }, (_, i) => f(i % SIZE, Math.floor(i / SIZE)));
}

test("the line of a cone is a circle", () => {
  const path = isoline(grid((x, y) => -Math.hypot(x - 20, y - 20)), [SIZE, SIZE], -12);
  const places = ends(path);
  assert.ok(places.length > 80);
  for (const [x, y] of places) assert.ok(Math.abs(Math.hypot(x - 20, y - 20) - 12) < 0.05, `${x} ${y}`);
});

test("every end of a part inside the grid is met by another", () => {
  const path = isoline(grid((x, y) => Math.sin(x / 3) * Math.cos(y / 4)), [SIZE, SIZE], 0.1);
  const met = new Map();
  for (const place of ends(path)) met.set(String(place), (met.get(String(place)) ?? 0) + 1);
  const inside = ([x, y]) => x > 0 && x < SIZE - 1 && y > 0 && y < SIZE - 1;
  assert.ok(met.size > 50);
  for (const [place, count] of met) if (inside(place.split(",").map(Number))) assert.equal(count % 2, 0, place);
});

test("both ways through a saddle keep high ground apart or join it, and never cross", () => {
  const path = isoline([1, 0, 0, 1], [2, 2], 0.5);
  assert.equal(ends(path).length, 4);
  assert.equal(isoline([1, 1, 1, 1], [2, 2], 0.5), "");
  assert.equal(isoline([0, 0, 0, 0], [2, 2], 0.5), "");
});

test("a grid need not be square", () => {
  assert.deepEqual(ends(isoline([0, 0, 1, 0, 0, 1], [2, 3], 0.5)), [[1.5, 0], [1.5, 1]]);
});
