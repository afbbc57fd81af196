import assert from "node:assert/strict";
import test from "node:test";
import { colour, css, dash, grey, table } from "../shared/palette.js";
import { HUES } from "./fake.js";

test("the first 50 components all look different", () => {
  assert.equal(new Set(Array.from({ length: 50 }, (_, k) => `${css(colour(k, HUES))} ${dash(k)}`)).size, 50);
});

test("a table has one more colour, for points without a label", () => {
  assert.equal(table(255, "dark", HUES).length, 256 * 3);
  assert.deepEqual([...table(2, "dark", HUES).slice(-3)], grey("dark"));
});
