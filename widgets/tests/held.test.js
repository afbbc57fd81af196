import assert from "node:assert/strict";
import test from "node:test";
import { fakeModel } from "./fake.js";
import { Held } from "../explorer/held.js";
import { View } from "../shared/view.js";
import { Edits, Wire } from "../shared/wire.js";

const circle = [[1, 0], [0, 1]];
const at = (x, y) => ({ mean: [x, y], factor: circle, weight: 1 });

function holding() {
  const model = fakeModel();
  const wire = new Wire(model, { changed() {}, refused() {} });
  clearInterval(wire.timer);
  const edits = new Edits(wire);
  const held = new Held(edits, () => {});
  const view = new View([[0, 10], [0, 10]], { left: 0, top: 0, width: 100, height: 100 });
  const answer = () => {
    wire.receive({ re: model.sent.at(-1).seq, ok: true });
    edits.flush();
  };
  return { held, view, answer, place: (components) => held.shown(components, view)[0].mean };
}

test("frames do not pull a component out of the hand", () => {
  const { held, view, answer, place } = holding();
  held.grab();
  held.change(0, { mean: [5, 5] }, view);
  answer();
  held.settle([at(1, 1)], "playing");
  assert.deepEqual(place([at(1, 1)]), [5, 5]);
  held.release();
  held.drop();
});

test("after the hand has let go, a late frame changes nothing and the answer settles it", () => {
  const { held, view, answer, place } = holding();
  held.change(0, { mean: [5, 5] }, view);
  answer();
  held.settle([at(1, 1)], "paused");
  assert.deepEqual(place([at(1, 1)]), [5, 5]);
  held.settle([at(5, 5)], "paused");
  assert.equal(held.k, null);
});

test("a component that is removed is let go", () => {
  const { held, view } = holding();
  held.change(1, { axes: { a: 9, b: 4, angle: 0 } }, view);
  held.settle([at(1, 1)], "paused");
  assert.equal(held.k, null);
});
