import assert from "node:assert/strict";
import test from "node:test";
import { layout, stepAt } from "../shared/trace.js";

const trace = [[0, -4.2], [1, -4.16], [2, -4.155]];

test("the curve lies inside its box", () => {
  const plan = layout(trace, 500, 100, { left: 50 });
  for (const [step, value] of trace) {
    assert.ok(plan.x(step) >= plan.box.left && plan.x(step) <= plan.box.left + plan.box.width);
    assert.ok(plan.y(value) >= plan.box.top && plan.y(value) <= plan.box.top + plan.box.height);
  }
  assert.ok(plan.y(-4.155) < plan.y(-4.2));
});

test("a click finds the nearest step", () => {
  const plan = layout(trace, 500, 100, { left: 50 });
  assert.equal(stepAt(trace, plan, plan.x(1) + 4), 1);
  assert.equal(stepAt(trace, plan, 9999), 2);
  assert.equal(stepAt([], plan, 10), null);
});

test("an empty and a constant trace have a layout", () => {
  assert.ok(isFinite(layout([], 500, 100, { left: 50 }).y(0.5)));
  assert.ok(isFinite(layout([[0, 1], [1, 1]], 500, 100, { left: 50 }).y(1)));
});
