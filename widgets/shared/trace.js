// A small line chart of one value per step, on a canvas.
import { room, ticks } from "./view.js";

/** Where things lie in a chart of this size. */
export function layout(trace, width, height, { left, right = 16, top = 10, bottom = 20 }) {
  const steps = trace.map(([s]) => s);
  const values = trace.map(([, v]) => v).filter(Number.isFinite);
  const [s0, s1] = steps.length ? [steps[0], Math.max(steps.at(-1), steps[0] + 4)] : [0, 4];
  let [lo, hi] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const pad = (hi - lo) * 0.08 || Math.abs(hi) * 1e-3 || 1;
  [lo, hi] = [lo - pad, hi + pad];
  const levels = ticks(lo, hi, 3.2);
  left = Math.max(left, room(levels.values.map(levels.format))); // no label is cut
  const box = { left, top, width: Math.max(1, width - left - right), height: Math.max(1, height - top - bottom) };
  const whole = Math.min(Math.max(2, box.width / 90), s1 - s0); // never more ticks than steps: there is no step 0.5
  return {
    levels, whole: ticks(s0, s1, whole), box, steps: [s0, s1], values: [lo, hi],
    x: (s) => box.left + ((s - s0) / (s1 - s0)) * box.width,
    y: (v) => box.top + (1 - (v - lo) / (hi - lo)) * box.height,
  };
}

/** The step of the trace nearest to a horizontal place, or null. */
export function stepAt(trace, plan, px) {
  let best = null;
  for (const [step] of trace) {
    if (best === null || Math.abs(plan.x(step) - px) < Math.abs(plan.x(best) - px)) best = step;
  }
  return best;
}

/** @param {CanvasRenderingContext2D} ctx already scaled to CSS pixels */
export function drawTrace(ctx, trace, plan, { step, hover, style }) {
  const { box } = plan;
  ctx.font = style.font;
  drawTicks(ctx, plan, style);
  if (trace.length === 0) return;
  ctx.lineJoin = "round";
  ctx.beginPath();
  trace.forEach(([s, v], i) => ctx[i ? "lineTo" : "moveTo"](plan.x(s), plan.y(v)));
  ctx.strokeStyle = style.line;
  ctx.lineWidth = 1.75;
  ctx.stroke();
  ctx.lineTo(plan.x(trace.at(-1)[0]), box.top + box.height);
  ctx.lineTo(plan.x(trace[0][0]), box.top + box.height);
  ctx.globalAlpha = 0.1;
  ctx.fillStyle = style.line;
  ctx.fill();
  ctx.globalAlpha = 1;
  if (trace.length <= 40) for (const [s, v] of trace) dot(ctx, plan.x(s), plan.y(v), 1.8, style.line);
  if (hover !== null && hover !== step) marker(ctx, trace, plan, hover, style.quiet, style);
  marker(ctx, trace, plan, step, style.ink, style);
}

function drawTicks(ctx, plan, style) {
  const { box } = plan;
  ctx.lineWidth = 1;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  const { levels, whole } = plan;
  for (const v of levels.values) {
    const at = Math.round(plan.y(v)) + 0.5;
    ctx.strokeStyle = style.grid;
    line(ctx, box.left, at, box.left + box.width, at);
    ctx.fillStyle = style.quiet;
    ctx.fillText(levels.format(v), box.left - 8, at);
  }
  ctx.textBaseline = "top";
  ctx.textAlign = "center";
  for (const s of whole.values) ctx.fillText(whole.format(s), plan.x(s), box.top + box.height + 6);
}

/** Where we are: a thin line, and a dot on the curve. */
function marker(ctx, trace, plan, step, colour, style) {
  const at = plan.x(step);
  if (!(at >= plan.box.left - 1 && at <= plan.box.left + plan.box.width + 1)) return;
  ctx.strokeStyle = colour;
  ctx.globalAlpha = 0.45;
  line(ctx, at, plan.box.top, at, plan.box.top + plan.box.height);
  ctx.globalAlpha = 1;
  const found = trace.find(([s]) => s === step);
  if (!found) return;
  dot(ctx, at, plan.y(found[1]), 5.5, style.background);
  dot(ctx, at, plan.y(found[1]), 4, colour);
}

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

function dot(ctx, x, y, radius, colour) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fillStyle = colour;
  ctx.fill();
}
