// Lines of one height on a grid, by marching squares (Lorensen and Cline, 1987, in the plane).

// which edges of a square a line joins, by the corners above it; edges: 0 below, 1 right, 2 above, 3 left
const JOINED = [[], [3, 0], [0, 1], [3, 1], [1, 2], [3, 0, 1, 2], [0, 2], [3, 2], [2, 3], [2, 0], [0, 1, 2, 3], [2, 1], [1, 3], [1, 0], [0, 3], []];

/**
 * An SVG path in units of the grid: column j, row i is the point (j, i).
 * @param {ArrayLike<number>} grid row by row @param {[number, number]} shape rows and columns
 */
export function isoline(grid, [rows, columns], level) {
  let path = "";
  const part = (a, b) => (level - a) / (b - a);
  for (let i = 0; i + 1 < rows; i++) {
    for (let j = 0; j + 1 < columns; j++) {
      const at = i * columns + j;
      const [a, b, c, d] = [grid[at], grid[at + 1], grid[at + columns + 1], grid[at + columns]];
      const edges = JOINED[(a > level) | ((b > level) << 1) | ((c > level) << 2) | ((d > level) << 3)];
      if (!edges.length) continue;
      for (let e = 0; e < edges.length; e += 2) path += `M${crossing(edges[e])}L${crossing(edges[e + 1])}`;
      function crossing(edge) {
        const [x, y] = [[j + part(a, b), i], [j + 1, i + part(b, c)], [j + part(d, c), i + 1], [j, i + part(a, d)]][edge];
        return `${+x.toFixed(2)} ${+y.toFixed(2)}`;
      }
    }
  }
  return path;
}
