// The area over time, with the frame that is shown and the marks of end-diastole and end-systole.

import uPlot from "./uplot/uPlot.esm.js";
import { element } from "./words.js";

const HEIGHT = 230;
const PHASES = { ed: ["ED", "End-diastole"], es: ["ES", "End-systole"] };

function coloured(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class Curve {
  // `chosen(frame)` hears where somebody pressed; `moved(beats, step)` of marks, see outline.js.
  constructor(place, { chosen, moved }) {
    this.place = place;
    this.chosen = chosen;
    this.moved = moved;
    this.marks = [];
    this.beats = [];
    new ResizeObserver(() => this.resize()).observe(place);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.plot && this.build());
  }

  open({ times, inSeconds, unit }) {
    this.times = times;
    this.inSeconds = inSeconds;
    this.unit = unit;
    this.data = [times, times.map(() => null), times.map(() => null)];
    this.corrected = [];
    this.beats = [];
    this.frame = 0;
    this.build();
  }

  build() {
    this.plot?.destroy();
    const axis = {
      stroke: coloured("--soft"), font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
      grid: { stroke: coloured("--line"), width: 1 }, ticks: { stroke: coloured("--line"), width: 1 },
    };
    const dots = { show: true, size: 7, filter: () => this.corrected };
    this.plot = new uPlot({
      width: this.width(), height: HEIGHT, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false } },
      axes: [
        { ...axis, label: this.inSeconds ? "time (s)" : "frame", labelSize: 18, size: 36 },
        { ...axis, label: `area (${this.unit})`, labelSize: 18, size: 54 },
      ],
      series: [
        {},
        { stroke: coloured("--predicted"), width: 1.5, dash: [5, 4], points: { show: false } },
        { stroke: coloured("--accent"), width: 2, points: dots },
      ],
      hooks: { draw: [() => this.lay()] },
    }, this.data, this.place);
    const over = this.plot.over;
    this.cursor = element("div", { class: "cursor" });
    over.append(this.cursor);
    this.marks = [];
    const go = (event) => this.chosen(this.frameAt(event.clientX));
    over.addEventListener("pointerdown", (event) => {
      if (event.target !== over || event.button > 0) return;
      over.setPointerCapture(event.pointerId);
      go(event);
    });
    over.addEventListener("pointermove", (event) => {
      if (over.hasPointerCapture(event.pointerId)) go(event);
    });
    this.lay();
  }

  width() {
    return Math.max(this.place.clientWidth, 200);
  }

  resize() {
    if (this.plot && this.place.clientWidth) this.plot.setSize({ width: this.width(), height: HEIGHT });
  }

  show({ predicted, area, corrected, beats }) {
    this.corrected = corrected;
    this.data = [this.times, predicted, area];
    this.plot.setData(this.data);
    this.setBeats(beats);
  }

  setBeats(beats) {
    this.beats = beats.map((beat) => [...beat]);
    this.lay();
  }

  setFrame(frame) {
    this.frame = frame;
    if (this.plot) this.cursor.style.left = `${this.left(frame)}px`;
  }

  left(frame) {
    return this.plot.valToPos(this.times[frame], "x");
  }

  frameAt(clientX) {
    const box = this.plot.over.getBoundingClientRect();
    const time = this.plot.posToVal(clientX - box.left, "x");
    let best = 0;
    this.times.forEach((value, frame) => {
      if (Math.abs(value - time) < Math.abs(this.times[best] - time)) best = frame;
    });
    return best;
  }

  // Puts cursor and marks where they belong.
  lay() {
    if (!this.cursor?.isConnected) return;
    this.setFrame(this.frame);
    while (this.marks.length > 2 * this.beats.length) this.marks.pop().remove();
    while (this.marks.length < 2 * this.beats.length) this.marks.push(this.mark(this.marks.length));
    this.marks.forEach((mark, number) => {
      const frame = this.frameOf(number);
      const [earliest, latest] = this.limits(number);
      mark.style.left = `${this.left(frame)}px`;
      mark.setAttribute("aria-valuemin", earliest);
      mark.setAttribute("aria-valuemax", latest);
      mark.setAttribute("aria-valuenow", frame);
      const time = this.inSeconds ? `, ${this.times[frame].toFixed(2)} s` : "";
      mark.setAttribute("aria-valuetext", `frame ${frame}${time}`);
    });
  }

  frameOf(number) {
    return this.beats[number >> 1][number % 2];
  }

  // Frames that a mark may take: end-diastole before its end-systole, beats one after the other.
  limits(number) {
    const before = number ? this.frameOf(number - 1) + number % 2 : 0;
    const last = number === 2 * this.beats.length - 1;
    const after = last ? this.times.length - 1 : this.frameOf(number + 1) - (1 - number % 2);
    return [before, after];
  }

  mark(number) {
    const phase = number % 2 ? "es" : "ed";
    const [short, long] = PHASES[phase];
    const mark = element("div", {
      class: `mark ${phase}`, role: "slider", tabindex: 0, "aria-orientation": "horizontal",
      "aria-label": `${long} of beat ${(number >> 1) + 1}`,
    }, element("span", { "aria-hidden": "true" }, short));
    const move = (frame, step) => {
      const [earliest, latest] = this.limits(number);
      const taken = Math.min(Math.max(frame, earliest), latest);
      if (taken === this.frameOf(number) && step !== "done") return;
      this.beats[number >> 1][number % 2] = taken;
      this.lay();
      this.moved(this.beats, step, taken);
    };
    let dragged = null;
    mark.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      event.preventDefault();
      mark.focus({ preventScroll: true });
      mark.setPointerCapture(event.pointerId);
      const box = mark.getBoundingClientRect();
      dragged = { by: box.left + box.width / 2 - event.clientX, from: this.frameOf(number) };
      this.chosen(dragged.from);
    });
    mark.addEventListener("pointermove", (event) => {
      if (dragged) move(this.frameAt(event.clientX + dragged.by), "moving");
    });
    for (const type of ["pointerup", "pointercancel"]) {
      mark.addEventListener(type, () => {
        if (dragged && this.frameOf(number) !== dragged.from) move(this.frameOf(number), "done");
        dragged = null;
      });
    }
    mark.addEventListener("keydown", (event) => {
      const frame = this.frameOf(number);
      const [earliest, latest] = this.limits(number);
      const wanted = {
        ArrowLeft: frame - 1, ArrowDown: frame - 1, ArrowRight: frame + 1, ArrowUp: frame + 1,
        PageDown: frame - 5, PageUp: frame + 5, Home: earliest, End: latest,
      }[event.key];
      if (wanted === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      move(wanted, "moved");
    });
    mark.addEventListener("focus", () => this.chosen(this.frameOf(number)));
    this.plot.over.append(mark);
    return mark;
  }
}
