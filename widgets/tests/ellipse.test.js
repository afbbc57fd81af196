import assert from "node:assert/strict";
import test from "node:test";
import { covariance, pull, tip, toAxes, toFactor } from "../shared/ellipse.js";

const near = (a, b, tol = 1e-9) => a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) < tol * (1 + Math.abs(v)), `${a}; ${b}`));

test("an ellipse survives the way to the screen and back", () => {
  for (const factor of [[[1, 0], [0, 1]], [[0.3, -0.2], [4, 1]], [[2, 1e-6], [5, 3e-6]], [[0, 3], [0.5, 0]]]) {
    const [sx, sy] = [120, -6];
    near(covariance(toFactor(toAxes(factor, sx, sy), sx, sy)), covariance(factor), 1e-7);
  }
});

test("axes on the screen are at right angles and sorted", () => {
  const axes = toAxes([[0.3, -0.2], [4, 1]], 120, -6);
  const [a, b] = [tip(axes, "a", 1), tip(axes, "b", 1)];
  assert.ok(Math.abs(a[0] * b[0] + a[1] * b[1]) < 1e-6);
  assert.ok(axes.a >= axes.b && axes.b > 0);
});

test("a pulled tip is where the hand is", () => {
  const axes = { a: 50, b: 20, angle: 0.3 };
  for (const which of ["a", "b"]) near(tip(pull(axes, which, [30, -44], 2, false), which, 2), [30, -44]);
});

test("pulling one axis keeps the other, with keep the shape", () => {
  const axes = { a: 50, b: 20, angle: 0.3 };
  assert.equal(pull(axes, "a", [90, 0], 2, false).b, 20);
  const scaled = pull(axes, "b", [0, 60], 2, true);
  assert.ok(Math.abs(scaled.a / scaled.b - 2.5) < 1e-9);
  assert.ok(pull(axes, "a", [0, 0], 2, false).a >= 1);
});

test("what a model cannot follow is not drawn", () => {
  const axes = { a: 20, b: 10, angle: Math.PI / 2 };
  assert.deepEqual(pull(axes, "a", [90, 60], 2, false, "axes"), { a: 30, b: 10, angle: Math.PI / 2 });
  const round = pull(axes, "b", [-30, 55], 2, false, "round");
  assert.ok(Math.abs(round.b - 15) < 1e-9 && Math.abs(round.a - 30) < 1e-9 && round.angle === axes.angle);
  assert.notEqual(pull(axes, "a", [90, 60], 2, false).angle, axes.angle);
});
