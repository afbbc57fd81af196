import assert from "node:assert/strict";
import test from "node:test";
import { fakeModel } from "./fake.js";
import { Edits, Wire } from "../shared/wire.js";

function wired() {
  const model = fakeModel();
  const said = [];
  const wire = new Wire(model, { changed: () => said.push("changed"), refused: (sentence) => said.push(sentence), gone: () => said.push("gone") });
  clearInterval(wire.timer);
  return { model, said, wire, edits: new Edits(wire) };
}

test("messages say their version, what they want, and count", () => {
  const { model, wire } = wired();
  wire.send("seek", { step: 3 });
  wire.send("play");
  assert.equal(model.sent[1].seq, model.sent[0].seq + 1);
  assert.deepEqual({ ...model.sent[0], seq: 0 }, { v: 1, op: "seek", seq: 0, step: 3 });
});

test("one edit is under way, and of those that wait the latest is sent", () => {
  const { model, wire, edits } = wired();
  edits.put({ k: 0, mean: [1, 1] });
  edits.put({ k: 0, mean: [2, 2] });
  edits.put({ k: 0, factor: [[1, 0], [0, 1]] });
  edits.put({ k: 0, mean: [3, 3] });
  assert.equal(model.sent.length, 1);
  assert.equal(edits.idle, false);
  wire.receive({ re: model.sent[0].seq, ok: true });
  edits.flush();
  assert.equal(model.sent.length, 2);
  assert.deepEqual(model.sent[1].mean, [3, 3]);
  assert.deepEqual(model.sent[1].factor, [[1, 0], [0, 1]]);
  wire.receive({ re: model.sent[1].seq, ok: true });
  assert.equal(edits.idle, true);
});

test("an edit of another component does not displace one that waits", () => {
  const { model, edits } = wired();
  edits.put({ k: 0, mean: [1, 1] });
  edits.put({ k: 0, mean: [2, 2] });
  edits.put({ k: 1, mean: [5, 5] });
  assert.deepEqual(model.sent.map(({ k, mean }) => [k, mean[0]]), [[0, 1], [0, 2]]);
});

test("a refusal is told; an answer to another view is not ours", () => {
  const { model, said, wire } = wired();
  assert.equal(wire.receive({ re: 5, ok: false, error: "no" }), false);
  wire.send("remove", { k: 9 });
  wire.receive({ re: model.sent[0].seq, ok: false, error: "There is no component 9." });
  assert.deepEqual(said, ["There is no component 9."]);
});

test("acknowledgements wait for no answer", () => {
  const { model, wire } = wired();
  wire.send("ack", { frame: 1 });
  assert.equal(wire.waitsFor(model.sent[0].seq), false);
});

test("a closed connection is told, not thrown", () => {
  const { wire, model, said } = wired();
  model.send = () => {
    throw new Error("gone");
  };
  wire.send("play");
  assert.deepEqual(said, ["gone"]);
});

test("what a line refuses that is just coming back is said again", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const model = fakeModel();
  const { send } = model;
  const wire = new Wire(model, { changed() {}, refused() {}, gone() {} });
  model.send = () => {
    throw new Error("not yet");
  };
  wire.send("ready");
  model.send = send;
  now = 2000;
  t.mock.timers.tick(250);
  assert.deepEqual(model.sent.map(({ op }) => op), ["ready"]);
  wire.close();
});

test("what is not answered is said again with its number, and what was answered is not", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const model = fakeModel();
  const wire = new Wire(model, { changed() {}, refused() {}, gone() {} });
  const pass = (ms) => {
    now += ms;
    t.mock.timers.tick(250);
  };
  wire.send("play");
  wire.receive({ re: model.sent[0].seq, ok: true });
  const seq = wire.send("stop");
  pass(1400);
  assert.equal(model.sent.length, 2);
  pass(200);
  pass(200);
  assert.deepEqual(model.sent.slice(1).map((message) => [message.op, message.seq]), [["stop", seq], ["stop", seq]]);
  for (let i = 0; i < 60; i++) pass(1000);
  assert.equal(model.sent.length, 2 + 5); // not for ever
  wire.receive({ re: seq, ok: true });
  wire.again();
  assert.equal(model.sent.length, 2 + 5);
  wire.close();
});
