// One clip at work: its frames, curve, marks, outline and numbers, and what is corrected of them.

import { Curve } from "./curve.js";
import { inWords, showNumbers } from "./numbers.js";
import { Outline } from "./outline.js";
import { get, pictures, post } from "./server.js";
import { Viewer } from "./viewer.js";
import { announce, element, refuse } from "./words.js";

const LV = "lv";
// Every so many of the points that are shown can be moved.
const EVERY = 3;
// Keys that follow each other sooner are one step.
const PAUSE_MS = 600;

// Their names for people; others are called as they were named.
const FORMATS = { dicom: "DICOM", nifti: "NIfTI", coco: "COCO", labelme: "LabelMe" };

const $ = (id) => document.getElementById(id);

export class Workplace {
  // `changed(id, now)` hears of every answer of the server.
  constructor({ changed }) {
    this.changed = changed;
    this.viewer = new Viewer({ shown: (frame) => this.showFrame(frame) });
    this.curve = new Curve($("plot"), {
      chosen: (frame) => this.viewer.stopAt(frame),
      moved: (beats, step, frame) => {
        this.viewer.stopAt(frame);
        this.change({ beats: beats.map((beat) => [...beat]) }, step);
      },
    });
    this.outline = new Outline($("outline"), {
      changed: (points, step) => this.change({ points }, step),
      ended: () => this.edit(false),
    });
    this.buttons();
    this.chain = Promise.resolve();
    this.version = 0;
  }

  buttons() {
    const press = (id, act) => $(id).addEventListener("click", act);
    press("undo", () => this.step("undo"));
    press("redo", () => this.step("redo"));
    press("edit", () => this.edit(!this.editing));
    press("add_point", () => this.outline.add());
    press("remove_point", () => this.outline.remove());
    press("reset_frame", () => this.change({ points: null }, "done"));
    press("ed_here", () => this.markHere(0));
    press("es_here", () => this.markHere(1));
    press("add_beat", () => this.addBeat());
    press("remove_beat", () => this.removeBeat());
    press("find_beats", () => this.change({ beats: null }, "done"));
    press("show_predicted", () => this.showFrame(this.viewer.frame));
    document.addEventListener("keydown", (event) => {
      if (!this.id || !(event.ctrlKey || event.metaKey) || event.altKey) return;
      const key = event.key.toLowerCase();
      const step = key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" && "undo";
      if (!step) return;
      event.preventDefault();
      this.step(step);
    });
    $("frame").addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        " ": () => this.viewer.toggle(), d: () => this.markHere(0), s: () => this.markHere(1),
        e: () => this.edit(true),
      }[event.key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      act();
    });
  }

  async open(id, moveFocus) {
    this.flush();
    this.id = id;
    this.viewer.pause();
    $("workplace").hidden = !id;
    if (!id) return;
    let content, files;
    try {
      [content, files] = await Promise.all([get(`/clips/${id}`), pictures(`/clips/${id}/pictures`)]);
    } catch (error) {
      if (this.id === id) {
        $("workplace").hidden = true;
        refuse(error.message);
      }
      return;
    }
    if (this.id !== id) return; // Another one was opened meanwhile.
    this.content = content;
    this.editing = false;
    const { predicted } = content;
    $("clip_name").textContent = content.source;
    document.title = `${content.source} - Left ventricle`;
    $("results").href = `/results.zip?clips=${id}`;
    this.offer(content.formats.map((name) => [name, `/results.zip?clips=${id}&as=${name}`]));
    this.outline.open(content);
    this.viewer.files = files;
    this.viewer.frame = 0;
    this.scale(predicted);
    this.curve.open({ times: this.times, inSeconds: this.inSeconds, unit: this.unit });
    this.apply(content);
    this.viewer.open(files, predicted.fps, predicted.times_s);
    if (moveFocus) $("clip_name").focus();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.viewer.play();
  }

  // Links to the clip in the formats of other viewers: pairs of name and address.
  offer(formats) {
    const links = formats.map(([name, href]) => {
      const link = element("a", { class: "button", download: true, href }, FORMATS[name] ?? name);
      link.addEventListener("click", () => announce("the download is being made \u2026"));
      return link;
    });
    $("formats").querySelectorAll("a").forEach((link) => link.remove());
    $("formats").append(...links);
    $("formats").hidden = !links.length;
  }

  // What the axes are in: seconds and square centimetres where they are known.
  scale({ fps, times_s: times, area_px: area, pixel_spacing_mm: [height, width] }) {
    this.inSeconds = Boolean(times ?? fps);
    this.times = times ?? area.map((_, frame) => (fps ? frame / fps : frame));
    const known = height !== null && width !== null;
    this.areaScale = known ? (height * width) / 100 : 1;
    this.unit = known ? "cm\u00b2" : "pixels";
  }

  // Shows what the server said.
  apply(now) {
    this.outlines = { ...now.corrections?.outlines };
    this.namedBeats = now.corrections?.beats ?? null;
    this.record = now.record;
    this.beats = now.record.beats.map((beat) => [beat.ed_frame, beat.es_frame]);
    const area = (record) => record.area_px.map((pixels) => pixels * this.areaScale);
    this.curve.show({
      predicted: now.record.corrected_frames.length ? area(this.content.predicted) : this.times.map(() => null),
      area: area(now.record), corrected: now.record.corrected_frames, beats: this.beats,
    });
    showNumbers(now.record, this.content.predicted, Boolean(now.corrections));
    $("curve_words").hidden = !now.record.corrected_frames.length;
    $("undo").disabled = !now.can_undo;
    $("redo").disabled = !now.can_redo;
    $("find_beats").disabled = this.namedBeats === null;
    this.showFrame(this.viewer.frame);
    this.changed(this.id, { ...now, corrected: Boolean(now.corrections) });
  }

  // Takes a change of the beats, or of the points of the outline on the frame that is shown.
  change({ beats, points }, step) {
    if (beats !== undefined) {
      this.namedBeats = beats;
      if (beats) this.beats = beats;
    }
    if (points !== undefined) {
      if (points === null) delete this.outlines[this.viewer.frame];
      else this.outlines[this.viewer.frame] = points.map((point) => [...point]);
      // A corrected outline moves no mark: they stay until somebody moves them.
      this.namedBeats ??= this.beats;
      this.showOutline();
    }
    clearTimeout(this.later);
    this.waiting = step === "moved";
    if (this.waiting) this.later = setTimeout(() => this.flush(), PAUSE_MS);
    this.send(step === "done");
  }

  // Keeps what keys have moved.
  flush() {
    clearTimeout(this.later);
    if (this.waiting) this.send(true);
    this.waiting = false;
  }

  send(keep) {
    const { beats } = this.content.predicted;
    const asFound = JSON.stringify(beats.map((beat) => [beat.ed_frame, beat.es_frame]));
    // Without a corrected outline, marks where they were found are no correction.
    const back = !Object.keys(this.outlines).length && JSON.stringify(this.namedBeats) === asFound;
    const corrections = { outlines: { ...this.outlines }, beats: back ? null : this.namedBeats };
    const path = `/clips/${this.id}/${keep ? "corrections" : "measure"}`;
    const content = JSON.stringify(corrections); // As they are now, whenever it is sent.
    this.ask(() => post(path, content), keep, keep);
  }

  step(kind) {
    this.flush();
    const path = `/clips/${this.id}/${kind}`;
    this.ask(() => post(path, "null"), true, true);
  }

  // One request after the other; numbers on the way are left out when newer ones are asked for.
  ask(request, always, tell) {
    const [version, { id }] = [(this.version += 1), this];
    this.chain = this.chain.then(async () => {
      if (!always && version !== this.version) return;
      try {
        const now = await request();
        if (version !== this.version || id !== this.id) return;
        refuse("");
        this.apply(now);
        if (tell) announce(inWords(now.record));
      } catch (error) {
        refuse(error.message);
        if (id === this.id) await get(`/clips/${id}/now`).then((now) => this.apply(now), () => {});
      }
    });
  }

  edit(editing) {
    this.viewer.pause();
    this.flush();
    const here = $("outline").contains(document.activeElement); // Its points go with the focus.
    this.editing = editing;
    this.showFrame(this.viewer.frame);
    if (editing) this.outline.focus();
    else if (here) $("edit").focus();
  }

  points(frame) {
    if (this.outlines[frame]) return this.outlines[frame];
    const shown = this.content.outlines[LV];
    if (!this.editing) return shown[frame];
    // Where nothing was found, the nearest frame's outline is where to begin.
    const frames = shown.map((_, index) => index).filter((index) => shown[index].length);
    const nearest = frames.sort((a, b) => Math.abs(a - frame) - Math.abs(b - frame))[0];
    if (nearest === undefined) return this.circle();
    return shown[nearest].filter((_, index) => index % EVERY === 0);
  }

  circle() {
    const middle = (this.content.side_px - 1) / 2;
    const turns = [...Array(12).keys()].map((index) => (index * Math.PI) / 6);
    return turns.map((turn) => [middle + 20 * Math.sin(turn), middle - 25 * Math.cos(turn)]);
  }

  showOutline() {
    const { frame } = this.viewer;
    const corrected = Boolean(this.outlines[frame]);
    const shown = this.content.outlines;
    const beside = corrected && $("show_predicted").checked;
    this.outline.show({
      points: this.points(frame), predicted: beside ? shown[LV][frame] : null, corrected,
      others: Object.keys(shown).filter((name) => name !== LV).map((name) => shown[name][frame]),
      editing: this.editing,
    });
    $("reset_frame").disabled = !corrected;
  }

  showFrame(frame) {
    if (!this.record) return;
    if (this.waiting && frame !== this.shownFrame) this.flush();
    this.shownFrame = frame;
    this.curve.setFrame(frame);
    this.showOutline();
    const phases = this.beats.flatMap(([ed, es]) =>
      [...(ed === frame ? ["end-diastole"] : []), ...(es === frame ? ["end-systole"] : [])]);
    $("phase").textContent = phases.map((phase) => (phase === "end-diastole" ? "ED" : "ES")).join(" ");
    const parts = [`frame ${frame} (0 to ${this.times.length - 1})`];
    if (this.inSeconds) parts.push(`${this.times[frame].toFixed(2)} s`);
    parts.push(`area ${(this.record.area_px[frame] * this.areaScale).toFixed(this.areaScale === 1 ? 0 : 1)} ${this.unit}`);
    if (this.outlines[frame]) parts.push("corrected");
    $("where").textContent = [...parts, ...phases].join(", ");
    $("frame").setAttribute("aria-valuetext", $("where").textContent);
    $("picture").setAttribute("aria-label", `The clip, ${$("where").textContent}`);
    for (const id of ["add_point", "remove_point"]) $(id).hidden = !this.editing;
    $("edit_words").hidden = !this.editing;
    $("edit").setAttribute("aria-pressed", this.editing);
  }

  // Moves the nearest mark of its kind to the frame that is shown; without beats it makes one.
  markHere(phase) {
    const { frame } = this.viewer;
    if (!this.beats.length) {
      this.addBeat();
      return;
    }
    const away = (beat) => Math.abs(beat[phase] - frame);
    const nearest = this.beats.reduce((best, beat, index) => (away(beat) < away(this.beats[best]) ? index : best), 0);
    const beats = this.beats.map((beat) => [...beat]);
    beats[nearest][phase] = frame;
    this.viewer.pause();
    this.change({ beats }, "done");
  }

  // From the frame that is shown to the least area after it, before the next beat.
  addBeat() {
    const { frame } = this.viewer;
    const next = this.beats.find(([ed]) => ed > frame)?.[0] ?? this.times.length;
    const inside = this.beats.some(([ed, es]) => ed <= frame && frame < es);
    const rest = this.record.area_px.slice(frame + 1, next);
    if (inside || !rest.length) {
      refuse("error: a beat needs frames after this one that belong to no other beat; choose another frame");
      return;
    }
    const beat = [frame, frame + 1 + rest.indexOf(Math.min(...rest))];
    this.viewer.pause();
    this.change({ beats: [...this.beats, beat].sort((a, b) => a[0] - b[0]) }, "done");
  }

  // The beat that the frame lies in, or the nearest one.
  removeBeat() {
    if (!this.beats.length) return;
    const { frame } = this.viewer;
    const away = ([ed, es]) => Math.max(ed - frame, frame - es, 0);
    const nearest = this.beats.reduce((best, beat, index) => (away(beat) < away(this.beats[best]) ? index : best), 0);
    this.change({ beats: this.beats.filter((_, index) => index !== nearest) }, "done");
  }
}
