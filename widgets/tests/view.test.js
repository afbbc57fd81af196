import assert from "node:assert/strict";
import test from "node:test";
import { View, number, reach, room, ticks, ticksAcross } from "../shared/view.js";

const box = { left: 0, top: 0, width: 400, height: 200 };
const near = (a, b, tol = 1e-9) => a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) < tol, `${a} and ${b}`));

test("there and back", () => {
  const view = new View([[0, 10], [-5, 5]], box);
  near(view.toData(view.toScreen([3, -2])), [3, -2]);
  near(view.toScreen([view.x[0], view.y[1]]), [0, 0]);
});

test("panning moves the data under the hand", () => {
  const view = new View([[0, 10], [0, 1]], box);
  const before = view.toScreen([4, 0.3]);
  view.pan(25, -10);
  near(view.toScreen([4, 0.3]), [before[0] + 25, before[1] - 10]);
});

test("zooming keeps the point under the pointer, and is bounded", () => {
  const view = new View([[0, 10], [0, 1]], box);
  const held = view.toData([100, 50]);
  view.zoom(2, 100, 50);
  near(view.toData([100, 50]), held);
  for (let i = 0; i < 200; i++) view.zoom(2, 100, 50);
  assert.ok(view.x[1] > view.x[0]);
});

test("a constant column has a view", () => {
  const view = new View([[7, 7], [0, 0]], box);
  assert.ok(view.toScreen([7, 0]).every((v) => v > 0 && isFinite(v)));
});

test("a point outside is brought into sight", () => {
  const view = new View([[0, 1], [0, 1]], box);
  assert.equal(view.reveal([0.5, 0.5]), false);
  assert.equal(view.reveal([9, 9]), true);
  near(view.toScreen([9, 9]), [200, 100]);
});

test("ticks are round, inside and enough", () => {
  for (const [lo, hi] of [[0, 1], [1.6, 5.1], [43, 96], [-4e6, 9e6], [1e-6, 5e-6], [99.999, 100.001]]) {
    const { values, format } = ticks(lo, hi, 6);
    assert.ok(values.length >= 3 && values.length <= 13, `${values}`);
    assert.ok(values.every((v) => v >= lo - 1e-9 * Math.abs(lo) && v <= hi + 1e-9 * Math.abs(hi)));
    assert.equal(new Set(values.map(format)).size, values.length, values.map(format).join(" "));
  }
  assert.deepEqual(ticks(0, 1, 5).values.map(ticks(0, 1, 5).format), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
  assert.deepEqual(ticks(NaN, 1, 5).values, []);
  const dates = ticks(1.6e9, 1.6e9 + 2e5, 5);
  assert.equal(new Set(dates.values.map(dates.format)).size, dates.values.length, "far from zero ticks still differ");
});

test("numbers are written as people write them", () => {
  assert.equal(number(-1.61859, 5), "−1.6186");
  assert.equal(number(0), "0");
  assert.equal(number(123456, 4), "123,456");
  assert.equal(number(1.5e-7), "1.5e−7");
});

test("long labels keep apart", () => {
  for (const [lo, hi] of [[1.6e9, 1.6e9 + 2e5], [0, 1], [1234567, 1234599]]) {
    const { values, format } = ticksAcross(lo, hi, 480);
    assert.ok(values.length >= 2);
    assert.ok(((values[1] - values[0]) / (hi - lo)) * 480 >= room(values.map(format)) || values.length < 3);
  }
});

test("the first view has room for ellipses, within reason", () => {
  const wide = { mean: [9, 5], factor: [[1, 0], [0, 50]] };
  assert.deepEqual(reach([[0, 10], [0, 10]], [wide], 2), [[0, 11], [-3, 13]]);
  assert.deepEqual(reach([[0, 10], [0, 10]], [], 2), [[0, 10], [0, 10]]);
});
