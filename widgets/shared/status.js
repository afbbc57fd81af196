// The line under a view, the strip for errors, and what a screen reader is told (at most once a second).
import { html, icon, focusOn, set, BUTTON, SILENT } from "./dom.js";

const WORDS = { loading: "Waiting for the kernel", disconnected: "Disconnected" }; // else the kernel says it
const CLOCK = "M8 2.2a5.8 5.8 0 1 0 0 11.6 5.8 5.8 0 0 0 0-11.6M8 5v3.2l2.2 1.4";

export class Status {
  #spoken = "";
  #said = -Infinity;
  #timer = null;
  #note = "";
  #noteTimer = null;
  #failure = "";
  #dismissed = null; // the failure that has been read, until it is over

  constructor() {
    this.pill = html("span.gl-pill");
    this.facts = html("span.gl-facts");
    this.note = html("span.gl-note");
    this.clock = html("span.gl-clock", { title: "The kernel has not answered for more than a second" },
      icon(CLOCK), html("span", "kernel busy"));
    this.done = html("span");
    this.bar = html("span.gl-bar", { hidden: "" }, this.done);
    this.line = html("div.gl-status", SILENT, this.pill, this.bar, this.facts, this.note,
      html("span.gl-spring"), this.clock);
    this.voice = html("div.gl-hidden", { role: "status", "aria-live": "polite" });
    this.message = html("span");
    this.copy = html("button.gl-button", { ...BUTTON, click: () => this.#copy() }, "Copy traceback");
    const dismiss = html("button.gl-button", { ...BUTTON, click: () => this.#dismiss() }, "Dismiss");
    this.strip = html("div.gl-error", { role: "alert", hidden: "" }, this.message, this.copy, dismiss);
  }

  update({ mode, stale, error, status, word: told, progress }, facts) {
    const word = WORDS[mode] ?? told;
    set(this.pill, { text: word, "data-mode": mode });
    const share = mode === "playing" ? progress?.share : null;
    this.bar.hidden = typeof share !== "number";
    if (!this.bar.hidden) set(this.done, { style: `width:${Math.round(100 * share)}%` });
    if (!this.bar.hidden && progress.remaining > 1) facts = [`about ${Math.ceil(progress.remaining)} s left`, ...facts];
    this.facts.replaceChildren(...facts.map((fact) => html("span", fact)));
    const said = error ? "" : status; // the strip says it
    set(this.note, { text: this.#note || (mode === "disconnected" ? "Run the cell again to go on." : said || "") });
    this.clock.hidden = !stale || mode === "loading" || mode === "disconnected";
    this.traceback = error?.traceback ?? "";
    this.#failure = error?.at ?? this.traceback;
    if (!error) this.#dismissed = null;
    this.strip.hidden = !error || this.#dismissed === this.#failure;
    if (error) set(this.message, { text: error.message });
    this.say([word, ...facts.slice(0, -1), this.#note || status || "", stale ? "The kernel is busy." : ""]
      .filter(Boolean).join(", "));
  }

  /** A sentence that goes away by itself. */
  tell(sentence, changed) {
    this.#note = sentence;
    clearTimeout(this.#noteTimer);
    this.#noteTimer = setTimeout(() => {
      this.#note = "";
      changed();
    }, 6000);
    changed();
  }

  /** For those who hear the page, at most once a second. */
  say(text) {
    if (text === this.#spoken) return;
    this.#spoken = text;
    if (this.#timer) return;
    const wait = Math.max(0, this.#said + 1000 - performance.now());
    this.#timer = setTimeout(() => {
      [this.#timer, this.#said] = [null, performance.now()];
      this.voice.textContent = this.#spoken;
    }, wait);
  }

  #dismiss() {
    this.#dismissed = this.#failure;
    this.strip.hidden = true;
    focusOn(this.strip.closest(".gmmlab")?.querySelector("button:not([aria-disabled])")); // not lost
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.traceback);
      this.copy.textContent = "Copied";
    } catch {
      this.copy.textContent = "Not allowed here";
    }
    setTimeout(() => (this.copy.textContent = "Copy traceback"), 2000);
  }

  close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#noteTimer);
  }
}
