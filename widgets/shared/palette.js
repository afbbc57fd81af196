// Colours of components, from the hues that the kernel names (gmmlab/plot/style.py). Colour never stands alone:
// components also carry numbers and dash patterns.

/** @typedef {[number, number, number]} Rgb */

const DASHES = ["", "7 4", "2 4", "10 4 2 4", "14 5", "5 3 1.5 3 1.5 3", "1 3"];
const BLACK = /** @type {Rgb} */ ([0, 0, 0]);
const WHITE = /** @type {Rgb} */ ([255, 255, 255]);

/** @returns {Rgb} */
const parse = (hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** @returns {Rgb} */
export const mix = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));

/** The colour of component `k`: later rounds through the hues are darker, then lighter. @returns {Rgb} */
export function colour(k, hues) {
  const base = parse(hues[k % hues.length]);
  const round = Math.floor(k / hues.length) % 5;
  if (!round) return base;
  return mix(base, round % 2 ? BLACK : WHITE, round < 3 ? 0.3 : 0.5);
}

/** A colour for thin lines over points of the same hue. @returns {Rgb} */
export const line = (k, theme, hues) => mix(colour(k, hues), theme === "dark" ? WHITE : BLACK, 0.18);

export const dash = (k) => DASHES[k % DASHES.length];

export const css = (rgb) => `rgb(${rgb.join(" ")})`;

/** Relative luminance (WCAG 2). */
function luminance(rgb) {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever is read better on `rgb`. */
export const ink = (rgb) => (luminance(rgb) > 0.179 ? "#111418" : "#ffffff");

/** The style of a sign in one colour. */
export const face = (rgb) => `background:${css(rgb)};color:${ink(rgb)}`;

/** A neutral grey for rows that belong to no component. @returns {Rgb} */
export const grey = (theme) => (theme === "dark" ? [150, 160, 172] : [110, 120, 132]);

/** What rows get that are not marked while others are: they step back, so that a few marked ones are seen. @returns {Rgb} */
export const unmarked = (theme) => (theme === "dark" ? [85, 93, 102] : [180, 186, 194]);

/** Colours of `k` components as bytes, and behind them those of rows without one and, if some are `marked`, of all others. */
export function table(k, theme, hues, marked = false) {
  const colours = Array.from({ length: k }, (_, i) => colour(i, hues));
  return Uint8Array.from([...colours, grey(theme), ...(marked ? [unmarked(theme)] : [])].flat());
}

const FAINT = { light: [226, 230, 235], dark: [42, 48, 56] };
const DOUBT = { light: [[190, 200, 212], [158, 12, 86]], dark: [[72, 82, 95], [255, 150, 84]] };

/** From certain (0) to uncertain (1). @returns {Rgb} */
export const shade = (part, theme) => mix(...DOUBT[theme], part);

/** `count` shades as bytes, and behind them what rows that are not marked get. */
export function shades(count, theme) {
  const bytes = new Uint8Array((count + 1) * 3);
  for (let i = 0; i < count; i++) bytes.set(shade(i / (count - 1), theme), i * 3);
  bytes.set(FAINT[theme], count * 3);
  return bytes;
}
