// The outline over a frame, and its points where it is corrected.

import { middleAfter, nearest, path } from "./shape.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST_POINTS = 3;
// On the screen: a finger finds a point within the first, the line within the second.
const POINT_REACH = 22;
const LINE_REACH = 14;
const STEP = 0.5;
const BIG_STEP = 2.5;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// As the server keeps them.
function rounded(point) {
  return point.map((value) => Math.round(100 * value) / 100);
}

function drawn(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export class Outline {
  // `changed(points, step)` hears of every move: "moving", "moved" (a key, more may follow), "done".
  constructor(svg, { changed, ended }) {
    this.svg = svg;
    this.changed = changed;
    this.ended = ended;
    this.points = [];
    this.active = 0;
    this.editing = false;
    this.others = drawn("g", { class: "others" });
    this.predicted = drawn("path", { class: "predicted" });
    this.line = drawn("path", { class: "line" });
    this.handles = drawn("g", {
      role: "application", "aria-label": "Points of the outline", class: "handles",
    });
    svg.replaceChildren(this.others, this.predicted, this.line, this.handles);
    this.listen();
  }

  listen() {
    const on = (type, act) => this.svg.addEventListener(type, act);
    on("pointerdown", (event) => this.grasp(event));
    on("pointermove", (event) => this.drag(event));
    on("pointerup", () => this.release());
    on("pointercancel", () => this.release());
    on("keydown", (event) => this.key(event));
    on("focusin", (event) => this.focused(event));
  }

  open({ side_px: side, most_points: most }) {
    this.svg.setAttribute("viewBox", `-0.5 -0.5 ${side} ${side}`);
    this.sidePx = side;
    this.mostPoints = most;
    this.active = 0;
  }

  show({ points, predicted, others, corrected, editing }) {
    this.points = points.map((point) => [...point]);
    this.active = Math.min(this.active, Math.max(points.length - 1, 0));
    this.editing = editing;
    this.svg.classList.toggle("editing", editing);
    this.line.classList.toggle("corrected", corrected);
    this.predicted.setAttribute("d", predicted ? path(predicted) : "");
    this.others.replaceChildren(...others.map((other, index) =>
      drawn("path", { d: path(other), class: `other other${index}` })));
    this.draw();
  }

  draw() {
    this.line.setAttribute("d", path(this.points));
    const wanted = this.editing ? this.points.length : 0;
    while (this.handles.children.length > wanted) this.handles.lastChild.remove();
    while (this.handles.children.length < wanted) {
      const handle = drawn("g", { role: "button", "aria-roledescription": "movable point" });
      handle.append(drawn("circle", { class: "reach", r: 5 }), drawn("circle", { class: "dot", r: 1.3 }));
      this.handles.append(handle);
    }
    [...this.handles.children].forEach((handle, index) => {
      const [x, y] = this.points[index];
      handle.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)})`);
      handle.setAttribute("tabindex", index === this.active ? 0 : -1);
      handle.classList.toggle("active", index === this.active);
      const words = `point ${index + 1} of ${this.points.length}, x ${x.toFixed(1)}, y ${y.toFixed(1)}`;
      handle.setAttribute("aria-label", words);
    });
    this.handles.style.display = wanted ? "" : "none";
  }

  focused(event) {
    const index = [...this.handles.children].indexOf(event.target);
    if (index >= 0 && index !== this.active) {
      this.active = index;
      this.draw();
    }
  }

  focus() {
    this.handles.children[this.active]?.focus({ preventScroll: true });
  }

  // Position of the pointer in pixels of the frame, and screen pixels per pixel.
  at(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = box.width / this.sidePx;
    return [(event.clientX - box.left) / scale - 0.5, (event.clientY - box.top) / scale - 0.5, scale];
  }

  grasp(event) {
    if (!this.editing || event.button > 0) return;
    const [x, y, scale] = this.at(event);
    const distances = this.points.map(([px, py]) => scale * Math.hypot(px - x, py - y));
    const index = distances.indexOf(Math.min(...distances));
    const onLine = nearest(this.points, [x, y]);
    if (distances[index] <= POINT_REACH && distances[index] <= scale * onLine.distance + LINE_REACH) {
      this.active = index;
    } else if (scale * onLine.distance <= LINE_REACH && this.points.length < this.mostPoints) {
      this.points.splice(onLine.index, 0, rounded(onLine.point));
      this.active = onLine.index;
    } else {
      return;
    }
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    this.dragged = [this.points[this.active][0] - x, this.points[this.active][1] - y, false];
    this.draw();
    this.focus();
  }

  drag(event) {
    if (!this.dragged) return;
    const [x, y] = this.at(event);
    this.dragged[2] = true;
    this.place([x + this.dragged[0], y + this.dragged[1]], "moving");
  }

  release() {
    if (!this.dragged) return;
    const moved = this.dragged[2];
    this.dragged = null;
    if (moved) this.changed(this.points, "done");
  }

  place(point, step) {
    const last = this.sidePx - 0.5;
    this.points[this.active] = rounded(point.map((value) => Math.min(Math.max(value, -0.5), last)));
    this.draw();
    this.changed(this.points, step);
  }

  key(event) {
    if (!this.editing || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = ARROWS[event.key];
    const { length } = this.points;
    if (move) {
      const step = event.shiftKey ? BIG_STEP : STEP;
      const [x, y] = this.points[this.active];
      this.place([x + step * move[0], y + step * move[1]], "moved");
    } else if (event.key === "PageDown") this.choose((this.active + 1) % length);
    else if (event.key === "PageUp") this.choose((this.active + length - 1) % length);
    else if (event.key === "Home") this.choose(0);
    else if (event.key === "End") this.choose(length - 1);
    else if (event.key === "Insert") this.add();
    else if (event.key === "Delete" || event.key === "Backspace") this.remove();
    else if (event.key === "Escape") this.ended();
    else return;
    event.preventDefault();
  }

  choose(index) {
    this.active = index;
    this.draw();
    this.focus();
  }

  add() {
    if (!this.editing || this.points.length >= this.mostPoints) return;
    this.points.splice(this.active + 1, 0, rounded(middleAfter(this.points, this.active)));
    this.choose(this.active + 1);
    this.changed(this.points, "done");
  }

  remove() {
    if (!this.editing || this.points.length <= LEAST_POINTS) return;
    this.points.splice(this.active, 1);
    this.choose(Math.max(this.active - 1, 0));
    this.changed(this.points, "done");
  }
}
