import assert from "node:assert/strict";
import test from "node:test";
import { MARKS } from "../shared/marks.js";
import { View } from "../shared/view.js";
import { HUES } from "./fake.js";

/** A canvas that remembers the colours of its boxes and what was written. */
function scene(background) {
  const fills = [], words = [];
  const nothing = () => {};
  const ctx = new Proxy({ fillRect: () => fills.push(ctx.fillStyle), fillText: (text) => words.push(text), measureText: (text) => ({ width: 6 * text.length }) },
    { get: (target, name) => target[name] ?? nothing });
  const found = [];
  const view = new View([[0, 2], [1, 0]], { left: 0, top: 0, width: 100, height: 20 });
  const style = { theme: "dark", hues: HUES, background, ink: "#fff", quiet: "#999" };
  return { fills, words, found, parts: { ctx, view, style, app: { state: {} }, find: (target) => found.push(target), ratio: 1 } };
}

const cells = { kind: "cells", tone: "accent", share: [[0, null]], text: [["4.2", ""]], words: ["a", "b"], picks: [6, 7] };

test("an empty cell has the colour of the page, however that is written", () => {
  for (const [background, css] of [["#111", "17, 17, 17"], ["#111111", "17, 17, 17"], ["#1a2b3c", "26, 43, 60"], ["rgb(1, 2, 3)", "1, 2, 3"]]) {
    const { fills, parts } = scene(background);
    MARKS.cells(cells, parts);
    assert.deepEqual(fills.map((fill) => fill.match(/\d+/g).join(", ")), [css]);
  }
});

test("cells and lines tell what they stand for", () => {
  const { found, words, parts } = scene("#111");
  MARKS.cells(cells, parts);
  assert.deepEqual(found.map(({ pick, words }) => [pick, words]), [[6, "a"], [7, "b"]]);
  assert.deepEqual(words, ["4.2"]);
  MARKS.line({ kind: "line", tone: "quiet", x: [0, 1], y: [0, 1], picks: [3, 3], action: "load" }, parts);
  assert.deepEqual(found.slice(2).map(({ pick, action }) => [pick, action]), [[3, "load"], [3, "load"]]);
});

test("the best is a star instead of its number", () => {
  const { words, parts } = scene("#111");
  MARKS.cells({ ...cells, stars: [[0, 0]] }, parts);
  assert.deepEqual(words, []);
});
