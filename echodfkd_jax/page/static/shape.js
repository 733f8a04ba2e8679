// The closed curve through the points of an outline; the server fills the same one.

const STEPS = 8;

// Corners of each piece of the curve as Bezier has them (a Catmull-Rom curve's).
function pieces(points) {
  const count = points.length;
  const at = (index) => points[(index + count) % count];
  return points.map((point, index) => {
    const [before, next, beyond] = [at(index - 1), at(index + 1), at(index + 2)];
    const first = point.map((value, axis) => value + (next[axis] - before[axis]) / 6);
    const second = next.map((value, axis) => value - (beyond[axis] - point[axis]) / 6);
    return [point, first, second, next];
  });
}

// For the attribute `d` of an SVG path.
export function path(points) {
  if (points.length < 3) return "";
  const text = (point) => point.map((value) => value.toFixed(2)).join(" ");
  const curves = pieces(points).map(([, ...corners]) => `C${corners.map(text).join(" ")}`);
  return `M${text(points[0])}${curves.join("")}Z`;
}

// Where a new point would lie: the nearest place on the curve and the index it would get.
export function nearest(points, [x, y]) {
  let best = { distance: Infinity, point: [x, y], index: 0 };
  pieces(points).forEach((corners, index) => {
    for (let step = 0; step < STEPS; step += 1) {
      const point = onPiece(corners, (step + 0.5) / STEPS);
      const distance = Math.hypot(point[0] - x, point[1] - y);
      if (distance < best.distance) best = { distance, point, index: index + 1 };
    }
  });
  return best;
}

export function middleAfter(points, index) {
  return onPiece(pieces(points)[index], 0.5);
}

function onPiece(corners, t) {
  const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3];
  return [0, 1].map((axis) =>
    corners.reduce((sum, corner, index) => sum + weights[index] * corner[axis], 0));
}
