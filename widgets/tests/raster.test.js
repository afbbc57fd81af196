import assert from "node:assert/strict";
import test from "node:test";
import { HUES } from "./fake.js";
import { grey, table } from "../shared/palette.js";
import { NONE, Raster, inSight, opacities, radiusFor, slotsFor } from "../shared/raster.js";

const map = { ax: 1, bx: 0, ay: 1, by: 0 };

function cloud(n, k, size, seed = 1) {
  const next = () => ((seed = (seed * 16807) % 2147483647) / 2147483647);
  const points = Float32Array.from({ length: 2 * n }, () => next() * size);
  const labels = Uint8Array.from({ length: n }, () => Math.floor(next() * k));
  return { points, labels };
}

function draw(points, labels, k, size, options) {
  const raster = new Raster();
  raster.resize(size, size);
  return [raster.draw(points, labels, table(k, "light", HUES), map, options).data.slice(), raster];
}

test("every point in sight is counted once", () => {
  const { points, labels } = cloud(400_000, 3, 40);
  const [, raster] = draw(points, labels, 3, 32);
  let expected = 0;
  for (let i = 0; i < labels.length; i++) if (points[2 * i] < 32 && points[2 * i + 1] < 32) expected++;
  assert.equal(raster.weights.reduce((a, b) => a + b), expected);
});

test("the order of the points does not matter, and two draws are equal", () => {
  for (const n of [50, 5000, 300_000]) {
    const { points, labels } = cloud(n, 4, 64);
    const order = [...labels.keys()].reverse();
    const turned = Float32Array.from(order.flatMap((i) => [points[2 * i], points[2 * i + 1]]));
    const [one] = draw(points, labels, 4, 64);
    assert.deepEqual(one, draw(points, labels, 4, 64)[0]);
    if (n < 5000) assert.deepEqual(one, draw(turned, Uint8Array.from(order.map((i) => labels[i])), 4, 64)[0]);
  }
});

test("a pixel has the mean colour of what lies on it", () => {
  const points = Float32Array.from({ length: 600_000 }, () => 2.5);
  const labels = Uint8Array.from({ length: 300_000 }, (_, i) => (i % 3 ? 1 : 0));
  const [pixels] = draw(points, labels, 2, 5);
  const [a, b] = [table(2, "light", HUES).slice(0, 3), table(2, "light", HUES).slice(3, 6)];
  const at = (2 * 5 + 2) * 4;
  for (let c = 0; c < 3; c++) assert.ok(Math.abs(pixels[at + c] - (a[c] + 2 * b[c]) / 3) <= 1);
  assert.ok(pixels[at + 3] > 200);
  assert.equal(pixels[3], 0);
});

test("cells for each component and sums of colours give the same picture", () => {
  assert.deepEqual(slotsFor(100, 5), { slots: 8, each: true });
  assert.deepEqual(slotsFor(2 ** 20, 50), { slots: 4, each: false });
  const { points, labels } = cloud(20_000, 3, 700);
  const wide = (k) => {
    const raster = new Raster();
    raster.resize(700, 700);
    const colours = new Uint8Array((k + 1) * 3);
    colours.set(table(3, "light", HUES).subarray(0, 9));
    return raster.draw(points, labels, colours, map).data.slice();
  };
  assert.deepEqual(wide(3), wide(60));
});

test("points without labels are grey, points that are not numbers are left out", () => {
  const [grey] = draw(Float32Array.of(3.5, 3.5), null, 2, 8);
  const [r, g, b] = table(2, "light", HUES).slice(-3);
  assert.deepEqual([...grey.slice((3 * 8 + 3) * 4, (3 * 8 + 3) * 4 + 3)], [r, g, b]);
  const [none] = draw(Float32Array.of(NaN, 1, 2, Infinity), null, 1, 8);
  assert.ok(none.every((v) => v === 0));
});

test("noise is grey, whatever the number of components and however many points there are", () => {
  for (const [k, size, n] of [[1, 8, 1], [2, 8, 1], [3, 8, 1], [4, 8, 1], [255, 8, 1], [60, 700, 1], [2, 8, 300_000]]) {
    const points = Float32Array.from({ length: 2 * n }, () => 3.5);
    const [pixels] = draw(points, new Uint8Array(n).fill(NONE), k, size);
    const at = (3 * size + 3) * 4;
    assert.deepEqual([...pixels.slice(at, at + 3)], grey("light"), `${k} components, ${n} points`);
  }
});

test("points get smaller as they get more, and a denser pixel is never fainter", () => {
  assert.ok(radiusFor(100) > radiusFor(10_000) && radiusFor(10_000) > radiusFor(150_000));
  assert.equal(radiusFor(1e6), 0);
  const steps = opacities(1e5, 16, 40);
  assert.ok(steps.every((v, i) => i === 0 || v >= steps[i - 1]));
  assert.equal(steps[0], 0);
});

test("what is in sight is judged from a sample", () => {
  const { points } = cloud(100_000, 1, 100);
  const seen = inSight(points, map, 50, 100);
  assert.ok(Math.abs(seen / 100_000 - 0.5) < 0.05);
});
