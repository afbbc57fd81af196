// An ellipse is a unit circle times a 2x2 factor that comes from Python. Only its looks on the screen are
// worked out here: axes of a plot rarely share a scale, so the axes that a person sees are not those of the data.

/** @typedef {{a: number, b: number, angle: number}} Axes half-axes in pixels, and the direction of `a` */

/** Half-axes of a data-unit factor on a screen with sx and sy pixels per unit. @returns {Axes} */
export function toAxes(factor, sx, sy) {
  const [[p, q], [r, s]] = factor;
  const [m00, m01, m10, m11] = [p * sx, q * sx, r * sy, s * sy];
  const xx = m00 * m00 + m01 * m01;
  const yy = m10 * m10 + m11 * m11;
  const xy = m00 * m10 + m01 * m11;
  const mean = (xx + yy) / 2;
  const a = Math.sqrt(mean + Math.hypot((xx - yy) / 2, xy));
  const b = a ? Math.abs(m00 * m11 - m01 * m10) / a : 0; // not by subtraction: thin ellipses keep their digits
  return { a, b, angle: Math.atan2(2 * xy, xx - yy) / 2 };
}

/** The data-unit factor whose ellipse has these half-axes on the screen. */
export function toFactor({ a, b, angle }, sx, sy) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [[(a * c) / sx, (-b * s) / sx], [(a * s) / sy, (b * c) / sy]];
}

/** The end of an axis ("a" or "b") at `sigma` standard deviations, relative to the mean. */
export function tip(axes, which, sigma) {
  const angle = which === "a" ? axes.angle : axes.angle + Math.PI / 2;
  const length = axes[which] * sigma;
  return [Math.cos(angle) * length, Math.sin(angle) * length];
}

/**
 * Axes after the tip of `which` was pulled to (x, y): size and direction, or the whole size if `keep`.
 * What the model cannot follow is not drawn: with `shape` "axes" or "round" nothing turns, and round stays round.
 */
export function pull(axes, which, [x, y], sigma, keep, shape = "free") {
  if (shape !== "free") {
    const [tx, ty] = tip(axes, which, 1);
    const along = (x * tx + y * ty) / Math.max(1e-18, tx * tx + ty * ty);
    [x, y] = [tx * Math.abs(along), ty * Math.abs(along)];
  }
  keep ||= shape === "round";
  const length = Math.max(1, Math.hypot(x, y) / sigma);
  const other = which === "a" ? "b" : "a";
  const scale = keep ? length / Math.max(axes[which], 1e-9) : 1;
  const angle = shape !== "free" ? axes.angle : Math.atan2(y, x) - (which === "a" ? 0 : Math.PI / 2);
  return { [which]: length, [other]: Math.max(0.5, axes[other] * scale), angle };
}

/** Covariance of a factor: what two factors of one ellipse agree on. */
export function covariance([[p, q], [r, s]]) {
  return [p * p + q * q, p * r + q * s, r * r + s * s];
}
