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

test("steps are whole numbers and no label is cut", () => {
  for (const last of [0, 1, 3, 9, 250]) {
    const { whole } = layout([[0, -4.2], [last, -4.1]], 1200, 100, { left: 50 });
    assert.ok(whole.values.length > 1 && whole.values.every(Number.isInteger), `${whole.values}`);
  }
  assert.ok(layout([[0, -123456.25], [1, -123456.2]], 500, 100, { left: 50 }).box.left > 70);
});
