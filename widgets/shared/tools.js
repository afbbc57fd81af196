// What a drag does in a frame: which points it touches, and the path it leaves. All in pixels of the plot.
import { within } from "./brush.js";

/** @typedef {[number, number]} Point */

/**
 * How many places a tool takes when they are set one by one, with keys; whether a click is a stroke too; whether a drag
 * adds to what it touched before; what the latest part of a path touches; how the path looks.
 * @type {Record<string, {presses: number, clicks?: boolean, adds?: boolean, touches: (path: Point[], radius: number) => (x: number, y: number) => boolean, trace: (ctx: CanvasRenderingContext2D, path: Point[], radius: number) => void}>}
 */
export const TOOLS = {
  box: {
    presses: 2,
    touches: (path) => {
      const [left, right, top, bottom] = bounds(path);
      return (x, y) => x >= left && x <= right && y >= top && y <= bottom;
    },
    trace: (ctx, path) => {
      const [left, right, top, bottom] = bounds(path);
      ctx.rect(left, top, right - left, bottom - top);
    },
  },
  lasso: { presses: Infinity, touches: within, trace: (ctx, path) => polygon(ctx, path) },
  round: {
    presses: 1,
    clicks: true,
    adds: true,
    touches: (path, radius) => {
      const [from, to] = [path.at(-2) ?? path.at(-1), path.at(-1)];
      return (x, y) => nearSegment(x, y, from, to, radius);
    },
    trace: (ctx, path, radius) => {
      ctx.lineWidth = 2 * radius;
      ctx.lineCap = ctx.lineJoin = "round";
      polygon(ctx, path.length > 1 ? path : [path[0], path[0]]);
    },
  },
  line: { presses: 2, clicks: true, touches: () => () => false, trace: (ctx, path, radius) => (radius ? spindle : polygon)(ctx, [path[0], path.at(-1)], radius) },
  row: { presses: 1, clicks: true, touches: () => () => false, trace() {} },
};

/** Only the two ends of a drag matter, or all of its path. */
export const ends = (name) => name === "box" || name === "line";

const bounds = (path) => {
  const [xs, ys] = [path.map(([x]) => x), path.map(([, y]) => y)];
  return [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
};

/** The ellipse from one place to another that is as thick as the brush. */
function spindle(ctx, [[x0, y0], [x1, y1]], radius) {
  const long = Math.max(radius, Math.hypot(x1 - x0, y1 - y0) / 2);
  ctx.ellipse((x0 + x1) / 2, (y0 + y1) / 2, long, radius, Math.atan2(y1 - y0, x1 - x0), 0, 2 * Math.PI);
}

function polygon(ctx, path) {
  path.forEach(([x, y], i) => ctx[i ? "lineTo" : "moveTo"](x, y));
}

/** So many places drawn evenly from a disc. */
export function drops([x, y], radius, count, random = Math.random) {
  return Array.from({ length: count }, () => {
    const [turn, out] = [2 * Math.PI * random(), radius * Math.sqrt(random())];
    return [x + out * Math.cos(turn), y + out * Math.sin(turn)];
  });
}

/** Whether a point lies within a radius of a segment. */
export function nearSegment(x, y, [x0, y0], [x1, y1], radius) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const long = dx * dx + dy * dy;
  const t = long ? Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / long)) : 0;
  const [ex, ey] = [x - x0 - t * dx, y - y0 - t * dy];
  return ex * ex + ey * ey <= radius * radius;
}

/** At most so many points of a path, evenly taken, with both ends. */
export function thinned(path, most = 500) {
  if (path.length <= most) return path;
  return Array.from({ length: most }, (_, i) => path[Math.round((i * (path.length - 1)) / (most - 1))]);
}
