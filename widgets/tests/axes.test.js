import assert from "node:assert/strict";
import { test } from "node:test";
import { HUES } from "./fake.js";

globalThis.devicePixelRatio = 1;
/** An element that is as large as it is told to be, and remembers what is written on it. */
const element = () => ({
  clientWidth: 500, clientHeight: 112, width: 0, height: 0, written: [], children: [],
  append(...parts) { this.children.push(...parts); },
  getAttribute: () => null, setAttribute() {}, removeAttribute() {}, addEventListener() {},
  getBoundingClientRect: () => ({ x: 100, y: 50 }),
  getContext() {
    const { written } = this;
    return new Proxy({ measureText: (text) => ({ width: 6 * text.length }), fillText: (text, x) => written.push([text, x]) },
      { get: (ctx, name) => ctx[name] ?? (() => {}), set: () => true });
  },
});
globalThis.document = { createElement: element };
const { Axes } = await import("../shared/axes.js");
const { dots, line } = await import("../shared/marks.js");

const style = { theme: "light", hues: HUES, ink: "#000", quiet: "#666", grid: "#eee", edge: "#ddd", background: "#fff", family: "sans" };

/** The strip of an Explorer, or another frame. */
function axes(course, spec = {}) {
  const [x, y] = [course.map(([s]) => s), course.map(([, v]) => v)];
  const made = new Axes({ line, dots }, { state: { brush: null } }, "div", {});
  const [low, high] = [Math.min(...y), Math.max(...y)];
  made.update({ marks: [{ kind: "line", x, y, picks: x }], title: "", x_title: "", y_title: "", x_names: [], y_names: [], ticks: true,
    whole: true, snap: "x", x_range: [x[0], Math.max(x.at(-1), x[0] + 4)], y_range: [low - 1, high + 1], ...spec });
  made.measure();
  made.paint(style);
  return made;
}

test("elements lie inside the box, higher values higher", () => {
  const { targets, view } = axes([[0, -4.2], [1, -4.16], [2, -4.155]]);
  for (const { x, y } of targets) assert.ok(x >= 0 && x <= view.box.width && y >= 0 && y <= view.box.height);
  assert.ok(targets[2].y < targets[0].y);
});

test("a pointer finds the nearest step however far away, or what is close", () => {
  const course = [[0, 0], [1, 0], [4, 0]];
  const wide = axes(course);
  const { x, y } = wide.targets[1];
  const { left, top } = wide.view.box;
  const at = (dx, dy) => wide.place({ clientX: 100 + left + x + dx, clientY: 50 + top + y + dy });
  assert.equal(wide.near(at(9, 40)).pick, 1);
  assert.equal(wide.near([9999, 0]).pick, 4);
  const close = axes(course, { snap: "near" });
  assert.equal(close.near(at(9, 40)), null);
  assert.equal(close.near(at(9, 4)).pick, 1);
  const peak = axes(Array.from({ length: 61 }, (_, i) => [i, i === 30 ? 10 : 0]));
  assert.equal(peak.near([peak.targets[30].x, peak.targets[0].y]).pick, 30, "its height does not matter");
  assert.equal(axes([[0, 0]], { marks: [] }).near([0, 0]), null);
});

test("steps are whole numbers, and no label is cut", () => {
  for (const last of [0, 1, 3, 9, 250]) {
    const { canvas } = axes([[0, -4.2], [last, -4.1]], { y_range: [0, 0] });
    const steps = canvas.written.map(([text]) => Number(text));
    assert.ok(steps.length > 1 && steps.every(Number.isInteger), `${steps}`);
  }
  assert.ok(axes([[0, -123456.25], [1, -123456.2]], { y_range: [-123456.25, -123456.2] }).view.box.left > 70);
});

test("axes below each other begin at one place, unless the labels need more", () => {
  const made = axes([[0, 1], [1, 2]]);
  const narrow = made.view.box.left;
  made.left = 90;
  made.paint(style);
  assert.ok(narrow < 90 && made.view.box.left === 90);
  made.left = 2;
  made.paint(style);
  assert.equal(made.view.box.left, narrow);
});
