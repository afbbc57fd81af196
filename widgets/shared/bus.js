// Panels of one session share what only the page needs to know (what the pointer is over) without asking the kernel.

/** @returns {{tell: (what: object) => void, close: () => void}} */
export function join(session, hear) {
  const name = `gmmlab:${session}`;
  const self = {};
  const listener = (event) => event.detail.from !== self && hear(event.detail.what);
  if (session) window.addEventListener(name, listener);
  return {
    tell: (what) => session && window.dispatchEvent(new CustomEvent(name, { detail: { from: self, what } })),
    close: () => window.removeEventListener(name, listener),
  };
}
