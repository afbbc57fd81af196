// Elements in one line.

const SVG = "http://www.w3.org/2000/svg";

/** Sets attributes; null and false remove, functions listen, `text` is the content. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") {
      if (element.textContent !== value) element.textContent = value;
    } else if (typeof value === "function") element.addEventListener(name, value);
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
  return element;
}

function make(element, attributes, children) {
  set(element, attributes);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const html = (tag, attributes = {}, ...children) => make(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

/** What a focusable element needs so that the notebook's own shortcuts leave its keys alone. */
export const KEYS_STAY = { "data-lm-suppress-shortcuts": "true" };

let counter = 0;
export const uid = (stem) => `gmmlab-${stem}-${++counter}`;

/** An icon on a 16-pixel grid, drawn with the colour of the text around it. */
export function icon(paths, solid = false) {
  const look = solid ? { fill: "currentColor" } : { fill: "none", stroke: "currentColor", "stroke-width": 1.6 };
  return svg(
    "svg",
    { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", class: "gl-icon" },
    svg("path", { d: paths, "stroke-linecap": "round", "stroke-linejoin": "round", ...look }),
  );
}
