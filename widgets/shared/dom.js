// Elements in one line: html("p.gl-note", { id: "x" }, "words", element).

const SVG = "http://www.w3.org/2000/svg";

/** Sets attributes; null removes, functions listen, `text` is the content. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") {
      if (element.textContent !== value) element.textContent = value;
    } else if (typeof value === "function") element.addEventListener(name, value);
    else if (value === null || value === undefined) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
  return element;
}

/** Classes stand behind the tag; then attributes, if any; then what is inside, where null is nothing. */
const maker = (create) => (tag, ...parts) => {
  const [name, ...classes] = tag.split(".");
  const element = create(name);
  if (classes.length) set(element, { class: classes.join(" ") });
  if (parts[0]?.constructor === Object) set(element, parts.shift());
  element.append(...parts.filter((part) => part !== null));
  return element;
};

export const html = maker((name) => document.createElement(name));

export const svg = maker((name) => document.createElementNS(SVG, name));

/** What a focusable element needs so that the notebook's own shortcuts leave its keys alone. */
export const KEYS_STAY = { "data-lm-suppress-shortcuts": true };

/** What every button needs. */
export const BUTTON = { type: "button", ...KEYS_STAY };

/** Only for the eye: it is told in words elsewhere. */
export const SILENT = { "aria-hidden": true };

/** The element within `root` that has the focus, or null. */
export function focused(root) {
  const { activeElement } = root.getRootNode();
  return root.contains(activeElement) ? activeElement : null;
}

/** Moves the focus; the page stays where it is. */
export const focusOn = (element) => element?.focus({ preventScroll: true });

let counter = 0;
export const uid = (stem) => `gmmlab-${stem}-${++counter}`;

/** An icon on a 16-pixel grid, drawn with the colour of the text around it. */
export function icon(paths, solid = false) {
  const look = solid ? { fill: "currentColor" } : { fill: "none", stroke: "currentColor", "stroke-width": 1.6 };
  return svg(
    "svg.gl-icon",
    { viewBox: "0 0 16 16", width: 16, height: 16, ...SILENT },
    svg("path", { d: paths, "stroke-linecap": "round", "stroke-linejoin": "round", ...look }),
  );
}
