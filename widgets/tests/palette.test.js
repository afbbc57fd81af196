import assert from "node:assert/strict";
import test from "node:test";
import { colour, css, dash, grey, ink, luminance, table } from "../shared/palette.js";

test("the first 50 components all look different", () => {
  for (const theme of ["light", "dark"]) {
    const looks = new Set(Array.from({ length: 50 }, (_, k) => `${css(colour(k, theme))} ${dash(k)}`));
    assert.equal(looks.size, 50);
  }
});

test("colours stand out from their background, numbers from their colour", () => {
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  for (const [theme, paper] of [["light", 1], ["dark", 0.007]]) {
    for (let k = 0; k < 8; k++) {
      const c = luminance(colour(k, theme));
      assert.ok(contrast(c, paper) > 2.4, `${theme} ${k}: ${contrast(c, paper)}`);
      assert.ok(contrast(c, ink(colour(k, theme)) === "#ffffff" ? 1 : 0.007) > 4);
    }
  }
});

test("a table has one more colour, for points without a label", () => {
  assert.equal(table(255, "dark").length, 256 * 3);
  assert.deepEqual([...table(2, "dark").slice(-3)], grey("dark"));
});
