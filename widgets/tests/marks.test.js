import assert from "node:assert/strict";
import { test } from "node:test";
import { HUES } from "./fake.js";
globalThis.document ??= { createElement: () => ({}) };
const { MARKS, tone } = await import("../shared/marks.js");
const { Rows } = await import("../shared/rows.js");
const { View } = await import("../shared/view.js");
const { NONE } = await import("../shared/raster.js");

const style = { theme: "light", hues: HUES, ink: "#000000", quiet: "#666666", background: "#ffffff", line: "#0000ff" };

/** A context that remembers what was drawn, and how opaque. */
function context() {
  const drawn = [];
  const note = (name) => function (...values) { drawn.push([name, values, this.globalAlpha, this.fillStyle]); };
  const ctx = { drawn, globalAlpha: 1, measureText: (text) => ({ width: 6 * text.length }), setLineDash() {} };
  for (const name of ["beginPath", "moveTo", "lineTo", "arc", "rect", "fill", "stroke", "fillRect", "strokeRect", "fillText", "strokeText", "closePath", "save", "restore", "clip"]) ctx[name] = note(name);
  return ctx;
}

function draw(mark, { brush = null } = {}) {
  const view = new View([[0, 1], [0, 1]], { left: 0, top: 0, width: 100, height: 50 });
  [view.x, view.y] = [[0, 10], [0, 10]];
  const ctx = context();
  const targets = [];
  MARKS[mark.kind](mark, { ctx, view, style, app: { state: { brush } }, ratio: 1, find: (target) => targets.push(target) });
  return { drawn: ctx.drawn, targets, count: (name) => ctx.drawn.filter(([what]) => what === name).length };
}

test("a line breaks where a value is missing, and its points can be chosen", () => {
  const { count, targets } = draw({ kind: "line", x: [0, 5, 6, 10], y: [0, null, 5, 10], picks: [3, 4, 5, 6] });
  assert.equal(count("moveTo"), 2);
  assert.deepEqual(targets.map(({ pick, x, y }) => [pick, x, y + 0]), [[3, 0, 50], [5, 60, 25], [6, 100, 0]]);
});

test("dots stand for rows, and step back when others are brushed", () => {
  const mark = { kind: "dots", x: [2, 4], y: [5, 5], rows: [0, 1], tone: [0, 1] };
  const { drawn, targets } = draw(mark, { brush: Uint8Array.of(0, 1) });
  const opacities = drawn.filter(([what]) => what === "fill").map(([, , alpha]) => alpha);
  assert.deepEqual(opacities, [0.15, 1]);
  assert.deepEqual(targets.map(({ row }) => row), [0, 1]);
  assert.notEqual(tone(0, style), tone(1, style));
});

test("bars are boxes that a pointer finds", () => {
  const [{ words, x, y, w, h }] = draw({ kind: "bars", left: [0], right: [5], low: [0], high: [10], words: ["five"] }).targets;
  assert.deepEqual([words, x, y + 0, w, h], ["five", 0, 0, 50, 50]);
});

test("cells are written, hatched where there is nothing, ringed and starred", () => {
  const { drawn, targets, count } = draw({ kind: "cells", share: [[1, null], [0.2, -0.4]], text: [["a", ""], ["b", "c"]], rings: [[1, 0]], stars: [[0, 0]], picks: [0, 1, 2, 3] });
  assert.deepEqual(drawn.filter(([what]) => what === "fillText").map(([, [text]]) => text), ["b", "c"]);
  assert.equal(count("fill"), 1); // the star
  assert.equal(count("strokeRect"), 1);
  assert.equal(count("clip"), 1);
  assert.deepEqual(targets.map(({ pick }) => pick), [0, 1, 2, 3]);
});

test("what is not pointed at, chosen or a row is no target", () => {
  assert.deepEqual(draw({ kind: "dots", x: [1], y: [1] }).targets, []);
});

test("rows come as columns, and go out as pairs, maps and labels", () => {
  const rows = new Rows();
  rows.take({ n: 3, ranges: [[0, 10], [100, 200]] }, Float32Array.of(0, 0.5, 1, 1, 0.5, 0));
  assert.deepEqual([...rows.pair([0, 1])], [0, 1, 0.5, 0.5, 1, 0]);
  const { ax, bx } = rows.map([0, 1], { sx: 2, sy: -1, x: [0, 10], y: [100, 200] });
  assert.deepEqual([ax * 0.5 + bx], [10]);
  rows.label(Uint8Array.of(0, 1, 1), 2);
  assert.deepEqual([...rows.shown(null)], [0, 1, 1]);
  assert.deepEqual([...rows.shown(Uint8Array.of(1, 0, 1))], [0, NONE, 1]);
  assert.equal(rows.has([0, 5]), false);
});

test("cells that touch leave no gaps, and paper of three digits is understood", () => {
  const dark = { ...style, background: "#111" };
  const fills = (look, mark) => {
    const ctx = context();
    MARKS.cells(mark, { ctx, view: { box: { width: 100, height: 50 } }, style: look, find() {} });
    return ctx.drawn.filter(([name]) => name === "fillRect").map(([, values, , face]) => [...values, face]);
  };
  const boxes = fills(style, { share: [[1, -1, null]], tight: true });
  assert.deepEqual(boxes.map((each) => each.slice(0, 4)), [[0, 0, 33, 50], [33, 0, 34, 50]]);
  assert.notEqual(boxes[0][4], boxes[1][4]);
  assert.equal(fills(dark, { share: [[0]], tight: true })[0][4], "rgb(17 17 17)");
});

test("rows have several sets of labels", () => {
  const rows = new Rows();
  rows.take({ n: 2, ranges: [] }, new Float32Array(0));
  rows.label(Uint8Array.of(0, 1), 3, [Uint8Array.of(2, 0)]);
  const brush = Uint8Array.of(1, 0);
  assert.deepEqual([0, 1].map((by) => [...rows.shown(null, { by })]), [[0, 1], [2, 0]]);
  assert.deepEqual([0, 1].map((by) => [...rows.shown(brush, { by })]), [[0, NONE], [2, NONE]]);
  assert.deepEqual([...rows.shown(Uint8Array.of(0, 1), { by: 1 })], [NONE, 0]);
});

test("rows are painted at once, and come back when the kernel says otherwise", () => {
  const rows = new Rows();
  rows.take({ n: 3, ranges: [[0, 1]] }, Float32Array.of(0, 0.5, 1));
  rows.label(Uint8Array.of(0, NONE, 1), 2);
  rows.paint(Uint8Array.of(0, 1, 1), 0);
  assert.deepEqual([...rows.shown(null)], [0, 0, 0]);
  assert.deepEqual([...rows.shown(Uint8Array.of(0, 1, 0))], [NONE, 0, 0]);
  assert.deepEqual([rows.given(0), rows.given(2)], [undefined, 0]);
  rows.paint(Uint8Array.of(1, 0, 0), -1);
  assert.deepEqual([...rows.shown(null)], [NONE, NONE, 1]);
  assert.equal(rows.given(0), -1);
  rows.paint(null);
  assert.deepEqual([...rows.shown(null)], [0, NONE, 1]);
});

test("labels of rows that are here no more are not taken", () => {
  const rows = new Rows();
  rows.take({ n: 2, ranges: [[0, 1]] }, Float32Array.of(0, 1));
  rows.label(Uint8Array.of(0, 1, 1), 2);
  assert.equal(rows.labels, null);
});

test("an image lies between its corners, once it is here", () => {
  const drawn = [];
  const ctx = { globalAlpha: 1, drawImage(...values) { drawn.push([...values, this.globalAlpha]); } };
  const view = new View([[0, 10], [0, 10]], { left: 0, top: 0, width: 100, height: 50 });
  [view.x, view.y] = [[0, 10], [0, 10]];
  const mark = { kind: "underlay", x: [2, 8], y: [0, 5], opacity: 0.5 };
  MARKS.underlay(mark, { ctx, view, app: {} });
  MARKS.underlay(mark, { ctx, view, app: { image: "image" } });
  assert.deepEqual(drawn, [["image", 20, 25, 60, 25, 0.5]]);
  assert.equal(ctx.globalAlpha, 1);
});
