// How each kind of mark is drawn. The other half is gmmlab/plot/painter.py.
import { colour, css, dash, grey, ink, mix, table } from "./palette.js";

/** The colour of a tone: a component's, or a named one. */
export function tone(name, style) {
  if (typeof name === "number") return css(name < 0 ? grey(style.theme) : colour(name, style.hues));
  const named = { ink: style.ink, quiet: style.quiet, noise: css(grey(style.theme)) };
  return named[name] ?? css(colour(name === "other" ? 1 : 0, style.hues));
}

const each = (tones, i) => (Array.isArray(tones) ? tones[i] : tones);
const dashes = (pattern) => (dash(pattern) ? dash(pattern).split(" ").map(Number) : []);

/** Elements of a mark that say something, stand for something or can be chosen. */
function found({ words = [], picks = [], rows = [], action }, i) {
  if (words[i] === undefined && picks[i] === undefined && rows[i] === undefined) return null;
  return { words: words[i], pick: picks[i], row: rows[i], action };
}

/** Rows that are not among the brushed ones step back. */
const faint = (app, rows, i) => app.state.brush && rows?.[i] !== undefined && !app.state.brush[rows[i]];

function course(ctx, view, xs, ys) {
  let down = false;
  xs.forEach((x, i) => {
    if (x === null || ys[i] === null) return (down = false);
    const [px, py] = view.toScreen([x, ys[i]]);
    ctx[down ? "lineTo" : "moveTo"](px, py);
    down = true;
  });
}

export function line(mark, { ctx, view, style, find }) {
  const { x, y, width = 1.75, fill = 0, closed = false } = mark;
  ctx.lineJoin = "round";
  ctx.strokeStyle = ctx.fillStyle = tone(mark.tone, style);
  if (fill) {
    ctx.globalAlpha = fill;
    ctx.beginPath();
    course(ctx, view, x, y);
    if (!closed && x.length) {
      ctx.lineTo(view.toScreen([x.at(-1), 0])[0], view.box.height);
      ctx.lineTo(view.toScreen([x[0], 0])[0], view.box.height);
    }
    ctx.fill();
    ctx.globalAlpha = 1;
  }
  if (width) {
    ctx.setLineDash(dashes(mark.dash ?? 0));
    ctx.lineWidth = width;
    ctx.beginPath();
    course(ctx, view, x, y);
    if (closed) ctx.closePath();
    ctx.stroke();
    ctx.setLineDash([]);
  }
  x.forEach((at, i) => {
    const target = found(mark, i);
    if (!target || at === null || y[i] === null) return;
    const [px, py] = view.toScreen([at, y[i]]);
    find({ ...target, x: px, y: py, r: 3 });
  });
}

function band({ x, low, high, opacity = 0.16, ...mark }, { ctx, view, style }) {
  ctx.beginPath();
  course(ctx, view, x, low);
  [...x].reverse().forEach((at, i) => ctx.lineTo(...view.toScreen([at, high[x.length - 1 - i]])));
  ctx.globalAlpha = opacity;
  ctx.fillStyle = tone(mark.tone, style);
  ctx.fill();
  ctx.globalAlpha = 1;
}

export function dots(mark, { ctx, view, style, app, find }) {
  const { x, y, size = 3, shape = "dot", rows = [] } = mark;
  x.forEach((at, i) => {
    if (at === null || y[i] === null) return;
    const [px, py] = view.toScreen([at, y[i]]);
    const r = each(size, i);
    ctx.globalAlpha = faint(app, rows, i) ? 0.15 : 1;
    ctx.fillStyle = ctx.strokeStyle = tone(app.rows?.given(rows[i]) ?? each(mark.tone, i), style);
    ctx.lineWidth = 1.6;
    ctx.beginPath();
    if (shape === "cross") {
      for (const side of [-1, 1]) {
        ctx.moveTo(px - r, py - side * r);
        ctx.lineTo(px + r, py + side * r);
      }
      ctx.stroke();
    } else {
      ctx.arc(px, py, r, 0, 2 * Math.PI);
      if (shape === "ring") ctx.stroke();
      else ctx.fill();
    }
    const target = found(mark, i);
    if (target) find({ ...target, x: px, y: py, r });
  });
  ctx.globalAlpha = 1;
}

function bars(mark, { ctx, view, style, app, find }) {
  const { left, right, low, high, opacity = 1, rows = [] } = mark;
  left.forEach((at, i) => {
    if (low[i] === null || high[i] === null) return;
    const [x0, y0] = view.toScreen([at, high[i]]);
    const [x1, y1] = view.toScreen([right[i], low[i]]);
    const box = { x: Math.min(x0, x1), y: Math.min(y0, y1), w: Math.abs(x1 - x0), h: Math.abs(y1 - y0) };
    ctx.globalAlpha = faint(app, rows, i) ? 0.15 : opacity;
    ctx.fillStyle = tone(each(mark.tone, i), style);
    const thin = box.w <= 8; // thin bars touch, on whole pixels, or their seams would show
    const [from, to] = thin ? [Math.round(box.x), Math.round(box.x + box.w)] : [box.x, box.x + box.w - 1];
    ctx.fillRect(from, box.y, Math.max(0.5, to - from), box.h);
    const target = found(mark, i);
    if (target) find({ ...target, ...box });
  });
  ctx.globalAlpha = 1;
}

function rule(mark, { ctx, view, style }) {
  const { x = null, y = null } = mark;
  ctx.strokeStyle = tone(mark.tone, style);
  ctx.lineWidth = 1;
  ctx.setLineDash(dashes(mark.dash ?? 1));
  ctx.beginPath();
  if (x !== null) {
    const at = Math.round(view.toScreen([x, 0])[0]) + 0.5;
    ctx.moveTo(at, 0);
    ctx.lineTo(at, view.box.height);
  }
  if (y !== null) {
    const at = Math.round(view.toScreen([0, y])[1]) + 0.5;
    ctx.moveTo(0, at);
    ctx.lineTo(view.box.width, at);
  }
  ctx.stroke();
  ctx.setLineDash([]);
}

function text({ x, y, text: words, anchor = "middle", ...mark }, { ctx, view, style }) {
  ctx.textAlign = { start: "left", middle: "center", end: "right" }[anchor];
  ctx.textBaseline = "middle";
  ctx.lineWidth = 4;
  ctx.lineJoin = "round";
  ctx.strokeStyle = style.background;
  ctx.fillStyle = tone(mark.tone, style);
  const at = view.toScreen([x, y]);
  ctx.strokeText(words, ...at);
  ctx.fillText(words, ...at);
}

function cells(mark, { ctx, view, style, find }) {
  const { share, text: texts = [], rings = [], stars = [] } = mark;
  const is = (list, i, j) => list.some(([a, b]) => a === i && b === j);
  const full = (value) => colour(value < 0 || mark.tone === "other" ? 1 : typeof mark.tone === "number" ? mark.tone : 0, style.hues);
  const paper = channels(style.background);
  const [width, height] = [view.box.width / share[0].length, view.box.height / share.length];
  if (mark.tight) return image(share, { ctx, full, paper, width, height });
  share.forEach((row, i) =>
    row.forEach((value, j) => {
      const box = { x: j * width + 1, y: i * height + 1, w: width - 2, h: height - 2 };
      const target = found(mark, i * row.length + j);
      if (target) find({ ...target, ...box });
      if (value === null) return hatch(ctx, box, style);
      const face = mix(paper, full(value), Math.min(1, Math.abs(value)));
      ctx.fillStyle = css(face);
      ctx.fillRect(box.x, box.y, box.w, box.h);
      ctx.fillStyle = ink(face);
      ctx.textAlign = "center";
      ctx.textBaseline = "middle";
      if (is(stars, i, j)) star(ctx, box.x + box.w / 2, box.y + box.h / 2, Math.min(8, 0.4 * box.h));
      const words = is(stars, i, j) ? "" : texts[i]?.[j];
      if (words && ctx.measureText(words).width < box.w + 2) ctx.fillText(words, box.x + box.w / 2, box.y + box.h / 2 + 0.5);
      if (!is(rings, i, j)) return;
      ctx.strokeStyle = tone("other", style);
      ctx.lineWidth = 2;
      ctx.strokeRect(box.x + 2, box.y + 2, box.w - 4, box.h - 4);
    }),
  );
}

function star(ctx, x, y, radius) {
  ctx.beginPath();
  for (let i = 0; i < 10; i++) {
    const r = i % 2 ? 0.4 * radius : radius;
    ctx.lineTo(x + r * Math.sin((i * Math.PI) / 5), y - r * Math.cos((i * Math.PI) / 5));
  }
  ctx.fill();
}

/** Shades that touch, on whole pixels. */
function image(share, { ctx, full, paper, width, height }) {
  share.forEach((row, i) =>
    row.forEach((value, j) => {
      if (value === null) return;
      const [x, y] = [Math.round(j * width), Math.round(i * height)];
      ctx.fillStyle = css(mix(paper, full(value), Math.min(1, Math.abs(value))));
      ctx.fillRect(x, y, Math.round((j + 1) * width) - x, Math.round((i + 1) * height) - y);
    }),
  );
}

const channels = (text) => {
  const full = text.replace(/^#(.)(.)(.)$/, "#$1$1$2$2$3$3"); // JupyterLab's dark paper is #111
  const hex = full.match(/^#(..)(..)(..)/)?.slice(1).map((part) => parseInt(part, 16));
  return hex ?? (text.match(/\d+/g) ?? [255, 255, 255]).slice(0, 3).map(Number);
};

function hatch(ctx, { x, y, w, h }, style) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, h);
  ctx.clip();
  ctx.strokeStyle = style.quiet;
  ctx.globalAlpha = 0.35;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let at = x - h; at < x + w; at += 6) {
    ctx.moveTo(at, y + h);
    ctx.lineTo(at + h, y);
  }
  ctx.stroke();
  ctx.restore();
}

/** The rows of the data, as a density; those that are not brushed step back. */
function points({ dims, plain, by = 0 }, { ctx, view, style, app, ratio }) {
  const { rows } = app;
  if (!rows.has(dims)) return;
  const [width, height] = [Math.max(1, Math.round(view.box.width * ratio)), Math.max(1, Math.round(view.box.height * ratio))];
  const raster = rows.raster(width, height);
  const map = rows.map(dims, view);
  for (const name of Object.keys(map)) map[name] *= ratio;
  const { brush } = app.state;
  const colours = table(rows.k, style.theme, style.hues, Boolean(brush));
  const image = raster.draw(rows.pair(dims), rows.shown(brush, { plain, by }), colours, map, { scale: ratio });
  rows.sheet.width = width;
  rows.sheet.height = height;
  rows.sheet.getContext("2d").putImageData(image, 0, 0);
  ctx.drawImage(rows.sheet, 0, 0, view.box.width, view.box.height);
}

/** An image below all else, once the page has it. */
function underlay({ x, y, opacity = 1 }, { ctx, view, app }) {
  if (!app.image) return;
  const [[left, top], [right, bottom]] = [view.toScreen([x[0], y[1]]), view.toScreen([x[1], y[0]])];
  ctx.globalAlpha = opacity;
  ctx.drawImage(app.image, left, top, right - left, bottom - top);
  ctx.globalAlpha = 1;
}

/** The sign of a mark in the key. */
function key(mark, { ctx, x, y, style }) {
  ctx.fillStyle = ctx.strokeStyle = tone(each(mark.tone, 0), style);
  ctx.lineWidth = 1.75;
  ctx.beginPath();
  if (mark.kind === "dots" && mark.shape === "cross") {
    for (const side of [-1, 1]) {
      ctx.moveTo(x + 3, y - 3 * side);
      ctx.lineTo(x + 9, y + 3 * side);
    }
  } else if (mark.kind === "dots") ctx.arc(x + 6, y, 3, 0, 2 * Math.PI);
  else if (mark.kind === "line" || mark.kind === "rule") {
    ctx.setLineDash(dashes(mark.dash ?? 0).map((part) => part / 2));
    ctx.moveTo(x - 2, y);
    ctx.lineTo(x + 10, y);
  } else {
    ctx.globalAlpha = 0.5;
    ctx.fillRect(x, y - 4, 9, 8);
    ctx.globalAlpha = 1;
  }
  if (mark.kind === "dots" && !["ring", "cross"].includes(mark.shape)) ctx.fill();
  else ctx.stroke();
  ctx.setLineDash([]);
}

export const MARKS = { line, band, dots, bars, rule, text, cells, points, underlay, key };
