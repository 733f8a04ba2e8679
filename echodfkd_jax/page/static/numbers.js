// What the record says, as predicted and as corrected.

import { element, number, rows, told } from "./words.js";

const HEART = [
  ["ef_disks", "Ejection fraction, by disks", (r) => number(r.ef_disks_percent, "%")],
  ["ef_area", "Ejection fraction, by areas", (r) => number(r.ef_area_percent, "%")],
  ["edv", "Volume at end-diastole", (r) => number(r.edv_ml, "ml")],
  ["esv", "Volume at end-systole", (r) => number(r.esv_ml, "ml")],
  ["num_beats", "Beats", (r) => number(r.beats.length)],
  ["heart_rate", "Heart rate", (r) => number(r.heart_rate_per_min, "/min")],
  ["confidence", "Confidence, 0 to 1", (r) => number(r.confidence, "", 2)],
  ["expected_dice", "Expected Dice of the outline", expectedDice],
];

function expectedDice(record) {
  const [dice, low, high] = ["", "_low", "_high"].map((end) => record[`expected_dice${end}`]);
  return typeof dice === "number" ? `${number(dice, "", 2)} (${number(low, "", 2)} to ${
    number(high, "", 2)})` : "unknown";
}

function table(id, caption, heads, body) {
  const line = (cells) => element("tr", {},
    element("th", { scope: "row" }, cells[0]), ...cells.slice(1).map((cell) =>
      typeof cell === "string" ? element("td", {}, cell) : element("td", cell[1], cell[0])));
  return element("table", { id },
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, ...heads.map((head) =>
      head ? element("th", { scope: "col" }, head) : element("td", {})))),
    element("tbody", {}, ...body.map(line)));
}

function paired(now, before, changed) {
  const texts = new Map(before.map(([, name, text]) => [name, text]));
  return now.map(([id, name, text]) => {
    const cell = id ? [text, { id }] : text;
    return changed ? [name, cell, texts.get(name) ?? "unknown"] : [name, cell];
  });
}

function measures(record) {
  return rows(record.measures ?? {}).map(([name, text]) => [null, name, text]);
}

export function showNumbers(record, predicted, changed) {
  const of = (r) => [...HEART.map(([id, name, text]) => [id, name, text(r)]), ...measures(r)];
  const heads = changed ? ["", "Corrected", "Predicted"] : ["", "Predicted"];
  const all = paired(of(record), of(predicted), changed);
  document.querySelector("#numbers_scroll").replaceChildren(
    table("values", "Numbers of this clip", heads, all));
  const beats = record.beats.map((beat, index) => [
    String(index + 1), String(beat.ed_frame), String(beat.es_frame),
    number(beat.ef_disks_percent, "%"), number(beat.ef_area_percent, "%"),
  ]);
  document.querySelector("#beats_scroll").replaceChildren(...(beats.length
    ? [table("beats", "Beats", ["Beat", "ED frame", "ES frame", "EF, disks", "EF, areas"], beats)]
    : []));
  const notes = [
    `${record.num_frames} frames${record.fps === null ? "" : ` at ${told(record.fps, "Hz")}`}`,
    ...record.notes,
  ];
  document.querySelector("#notes").replaceChildren(
    ...notes.map((note) => element("p", { class: "soft" }, note)));
  const verdict = record.verdict ? [element("p", { id: "verdict", class: record.remarks.length ?
    "remark" : "" }, "Verdict: ", element("strong", {}, record.verdict))] : [];
  document.querySelector("#remarks").replaceChildren(...verdict,
    ...record.remarks.map((remark) => element("p", { class: "remark" }, remark)));
}

export function inWords(record) {
  if (record.ef_disks_percent === null) return "no ejection fraction";
  const verdict = record.verdict ? `; ${record.verdict}` : "";
  return `ejection fraction ${number(record.ef_disks_percent, "%")} by disks${verdict}`;
}
