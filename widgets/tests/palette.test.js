import assert from "node:assert/strict";
import test from "node:test";
import { colour, css, dash, grey, shade, shades, table, unmarked } from "../shared/palette.js";
import { HUES } from "./fake.js";

test("the first 50 components all look different", () => {
  assert.equal(new Set(Array.from({ length: 50 }, (_, k) => `${css(colour(k, HUES))} ${dash(k)}`)).size, 50);
});

test("a table has one more colour, for points without a label", () => {
  assert.equal(table(255, "dark", HUES).length, 256 * 3);
  assert.deepEqual([...table(2, "dark", HUES).slice(-3)], grey("dark"));
  assert.deepEqual([...table(2, "dark", HUES, true).slice(-6)], [...grey("dark"), ...unmarked("dark")]);
});

test("rows that are not marked stand nearer to the paper than any that are", () => {
  for (const [theme, paper] of [["light", 255], ["dark", 17]]) {
    const away = (rgb) => Math.max(...rgb.map((v) => Math.abs(v - paper)));
    const colours = table(7, theme, HUES, true);
    const marked = Array.from({ length: 7 }, (_, k) => away([...colours.slice(3 * k, 3 * k + 3)]));
    assert.ok(away([...colours.slice(-3)]) < Math.min(...marked, away(grey(theme))));
  }
});

test("shades go from certain to uncertain, and behind them is what is not marked", () => {
  for (const theme of ["light", "dark"]) {
    const bytes = shades(16, theme);
    assert.deepEqual([...bytes.slice(0, 3)], shade(0, theme));
    assert.deepEqual([...bytes.slice(45, 48)], shade(1, theme));
    assert.equal(bytes.length, 17 * 3);
  }
});
