// What a widget's module is given by the page, as far as the units need it.
export const HUES = ["0072b2", "d55e00", "009e73", "b8609a", "d18f00", "3fa0dc", "9a8a00", "66717f"];

globalThis.ImageData ??= class {
  constructor(width, height) {
    this.data = new Uint8ClampedArray(width * height * 4);
  }
};

/** A model that remembers what it was told, and answers when asked to. */
export function fakeModel(traits = {}) {
  const listeners = {};
  const sent = [];
  return {
    sent,
    get: (name) => traits[name],
    on: (name, callback) => (listeners[name] ??= []).push(callback),
    off: (name, callback) => (listeners[name] = (listeners[name] ?? []).filter((each) => each !== callback)),
    send: (message) => sent.push(message),
    save_changes() {},
    emit: (name, ...values) => (listeners[name] ?? []).forEach((callback) => callback(...values)),
  };
}
