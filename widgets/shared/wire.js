// Commands to the kernel. Each has a number that the kernel's answer repeats; what waits for an answer for more
// than a second makes the widget look stale. What is given in the moment in which a lost line comes back can be lost with
// it: what is not answered is said again, with its number, by which the kernel knows what it has obeyed.

const VERSION = 1;
const STALE = 1000;
const LOST = 4000; // an answer that late does not hold up the next edit
const AGAIN = [1500, 3000, 6000, 12000, 24000]; // what waits so long is said again; then a kernel is busy, or gone

export class Wire {
  #model;
  #seq = Math.floor(Math.random() * 1e9) * 1000; // views of one model hear each other's answers
  #waiting = new Map(); // from numbers to messages, when they were first sent, and how often again
  #heard;

  /** @param {{changed: () => void, refused: (sentence: string) => void, gone: () => void}} heard */
  constructor(model, heard) {
    this.#model = model;
    this.#heard = heard;
    this.stale = false;
    this.timer = setInterval(() => this.#look(), 250);
  }

  /** Sends a command; its number is returned. Acknowledgements are not answered. */
  send(op, fields = {}, answered = op !== "ack") {
    const message = { v: VERSION, op, seq: ++this.#seq, ...fields };
    if (answered) this.#waiting.set(message.seq, { message, since: performance.now(), again: 0 });
    this.#say(message);
    return message.seq;
  }

  /** Says again what waits for an answer, in its order. */
  again() {
    for (const { message } of [...this.#waiting.values()]) this.#say(message);
  }

  #say(message) {
    try {
      this.#model.send(message);
    } catch {
      this.#heard.gone(); // a line that is just coming back refuses too: it is tried again
    }
  }

  /** An answer of the kernel; true if it is ours. */
  receive({ re, ok, error }) {
    if (!this.#waiting.has(re)) return false;
    for (const seq of this.#waiting.keys()) if (seq <= re) this.#waiting.delete(seq);
    this.#look();
    if (!ok) this.#heard.refused(error);
    return true;
  }

  waitsFor(seq) {
    const waiting = this.#waiting.get(seq);
    return waiting !== undefined && performance.now() - waiting.since < LOST;
  }

  #look() {
    const oldest = this.#waiting.values().next().value;
    const waited = oldest === undefined ? 0 : performance.now() - oldest.since;
    if (waited > AGAIN[oldest?.again]) {
      oldest.again += 1;
      this.again();
    }
    if (waited > STALE === this.stale) return;
    this.stale = waited > STALE;
    this.#heard.changed();
  }

  close() {
    clearInterval(this.timer);
  }
}

/** Commands of which at most one is under way; of those that come meanwhile only the latest of its kind is sent. */
export class Latest {
  #wire;
  #under = 0;
  #next = new Map();

  constructor(wire) {
    this.#wire = wire;
  }

  put(op, fields) {
    this.#next.set(`${op} ${fields.name ?? fields.frame ?? ""}`, [op, fields]);
    this.flush();
  }

  /** Call after every answer. */
  flush() {
    if (this.#wire.waitsFor(this.#under)) return;
    const [first] = this.#next;
    if (!first) return;
    this.#next.delete(first[0]);
    this.#under = this.#wire.send(...first[1]);
  }
}

/** Edits, at most one under way; of those that come meanwhile only the latest is sent. */
export class Edits {
  #wire;
  #under = 0;
  #next = null;

  constructor(wire) {
    this.#wire = wire;
  }

  get idle() {
    return this.#next === null && !this.#wire.waitsFor(this.#under);
  }

  put(edit) {
    if (this.#next && this.#next.k !== edit.k) this.#send();
    this.#next = { ...this.#next, ...edit };
    this.flush();
  }

  /** Call after every answer. */
  flush() {
    if (this.#next && !this.#wire.waitsFor(this.#under)) this.#send();
  }

  #send() {
    this.#under = this.#wire.send("edit", this.#next);
    this.#next = null;
  }
}
