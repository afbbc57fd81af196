import assert from "node:assert/strict";
import test from "node:test";
import { alone, combine, mark, nearest, pack, within } from "../shared/brush.js";
import { NONE } from "../shared/raster.js";

const same = { ax: 1, bx: 0, ay: 1, by: 0 };

const enclosed = (polygon, points, map) => mark(new Uint8Array(points.length / 2), points, map, within(polygon));

/** A lattice of points, and which of them a test says are inside. */
function lattice(inside) {
  const [points, expected] = [[], []];
  for (let x = -2; x < 12; x += 0.37) {
    for (let y = -2; y < 12; y += 0.41) {
      points.push(x, y);
      expected.push(inside(x, y) ? 1 : 0);
    }
  }
  return [Float32Array.from(points), expected];
}

test("a polygon holds the points within it", () => {
  const [points, expected] = lattice((x, y) => x > 1 && x < 9 && y > 2 && y < 7);
  assert.deepEqual([...enclosed([[1, 2], [9, 2], [9, 7], [1, 7]], points, same)], expected);
});

test("a polygon may be bent, lie beyond the plot, and begin anywhere", () => {
  const [points, expected] = lattice((x, y) => x < 4.05 || (x < 10.05 && y < 4.05));
  const bent = [[4.05, 4.05], [4.05, 40], [-20, 40], [-20, -20], [10.05, -20], [10.05, 4.05]];
  assert.deepEqual([...enclosed(bent, points, same)], expected);
});

test("a polygon has an inside, also where it is hollow or crosses itself; a line has none", () => {
  const hollow = within([[0, 0], [10, 0], [10, 10], [5, 2], [0, 10]]);
  assert.deepEqual([hollow(1, 5), hollow(5, 5), hollow(5, 1)], [true, false, true]);
  const crossed = within([[0, 0], [10, 10], [10, 0], [0, 10]]);
  assert.deepEqual([crossed(1, 5), crossed(5, 1)], [true, false]);
  assert.equal(within([[0, 0], [10, 10]])(1, 1), false);
});

test("points that are marked stay so", () => {
  const mask = Uint8Array.of(0, 1);
  assert.equal(mark(mask, Float32Array.of(0.5, 0.5, 9, 9), same, within([[0, 0], [1, 0], [1, 1], [0, 1]])), mask);
  assert.deepEqual([...mask], [1, 1]);
});

test("points are taken to pixels first; what has no place is outside", () => {
  const points = Float32Array.of(0.5, 0.5, 0, 0, NaN, 0.5);
  assert.deepEqual([...enclosed([[40, 40], [60, 40], [60, 60], [40, 60]], points, { ax: 100, bx: 0, ay: -100, by: 100 })], [1, 0, 0]);
});

test("marks are replaced, joined, or taken away; none left is null", () => {
  const [before, chosen] = [Uint8Array.of(1, 1, 0, 0), Uint8Array.of(0, 1, 1, 0)];
  assert.deepEqual([...combine(before, chosen, "only")], [0, 1, 1, 0]);
  assert.deepEqual([...combine(before, chosen, "add")], [1, 1, 1, 0]);
  assert.deepEqual([...combine(before, chosen, "take")], [1, 0, 0, 0]);
  assert.equal(combine(chosen, chosen, "take"), null);
  assert.equal(combine(null, chosen, "take"), null);
  assert.deepEqual([...combine(null, chosen, "add")], [0, 1, 1, 0]);
  assert.equal(combine(before, new Uint8Array(4), "only"), null);
});

test("the row nearest to a click, if it is near", () => {
  const points = Float32Array.of(10, 10, 14, 10, 90, 90);
  assert.equal(nearest([13, 11], points, same, 8), 1);
  assert.equal(nearest([50, 50], points, same, 8), null);
  assert.equal(nearest([50, 50], points, same, Infinity), 1);
});

test("nine rows are two bytes, the first row in the highest bit", () => {
  assert.equal(pack(null), null);
  assert.deepEqual([...Buffer.from(pack(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1, 1)), "base64")], [0b10000001, 0b10000000]);
});

test("rows that are marked keep their colours, those without a component too", () => {
  assert.deepEqual([...alone(Uint8Array.of(0, 1, NONE, NONE), Uint8Array.of(1, 0, 1, 0), 2)], [0, NONE, 2, NONE]);
});
