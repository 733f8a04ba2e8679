// Numbers with their units, and names of the record's fields in words.

const UNITS = [
  ["_percent", "%"], ["_per_min", "/min"], ["_per_s", "/s"], ["_ml", "ml"], ["_cm2", "cm\u00b2"],
  ["_cm_per_s", "cm/s"], ["_cm", "cm"], ["_mm", "mm"], ["_ms", "ms"], ["_s", "s"], ["_px", "pixels"],
  ["_hz", "Hz"], ["_frames", "frames"], ["_degrees", "\u00b0"],
];
const CAPITALS = { lv: "LV", la: "LA", ed: "ED", es: "ES", ef: "EF", edv: "EDV", esv: "ESV", gls: "GLS" };

export function number(value, unit = "", digits = 0) {
  if (value === null || value === undefined) return "unknown";
  return unit ? `${value.toFixed(digits)}\u00a0${unit}` : value.toFixed(digits);
}

// Name and unit of a field: "filling_rate_per_s" is "filling rate" in "/s".
export function named(field) {
  const [end, unit] = UNITS.find(([end]) => field.endsWith(end) && field !== end) ?? ["", ""];
  const words = field.slice(0, field.length - end.length).split("_").filter(Boolean);
  const text = words.map((word) => CAPITALS[word.toLowerCase()] ?? word).join(" ");
  return [text.charAt(0).toUpperCase() + text.slice(1), unit];
}

function digitsOf(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return 0;
  return size >= 10 ? 1 : 2;
}

// A value of the record in words, whatever it is.
export function told(value, unit = "") {
  if (value === null || value === undefined) return "unknown";
  if (typeof value === "number") return number(value, unit, digitsOf(value));
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (!Array.isArray(value)) return String(value);
  if (value.length > 12) return `${value.length} values`;
  return value.map((item) => told(item)).join(", ") + (unit && value.length ? `\u00a0${unit}` : "");
}

const WRITTEN = { percent: "%", px: "pixels", cm2: "cm\u00b2", px2: "pixels\u00b2", px3: "pixels\u00b3" };

// A number with its unit: one `value`, or `mean` and `sd` over beats; nothing where it is unknown.
function measured(path, { unit, value, mean = value, sd }) {
  if (typeof mean !== "number") return [];
  const about = typeof sd === "number" ? ` \u00b1 ${told(sd)}` : "";
  return [[path, `${told(mean)}${about}\u00a0${WRITTEN[unit] ?? unit}`]];
}

// Rows [path, text] of whatever an object holds; lists of objects are numbered.
export function rows(content, above = "") {
  return Object.entries(content).flatMap(([field, value]) => {
    const [name, unit] = named(field);
    const path = above ? `${above}: ${name}` : name;
    if (Array.isArray(value) && value.some((item) => item && typeof item === "object")) {
      return value.flatMap((item, index) => rows({ [index + 1]: item }, path));
    }
    if (value && typeof value === "object" && !Array.isArray(value)) {
      return "unit" in value ? measured(path, value) : rows(value, path);
    }
    return [[path, told(value, unit)]];
  });
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

let later = 0;

// Read out by screen readers; the same words again are read again.
export function announce(text) {
  const status = document.querySelector("#status");
  status.textContent = "";
  clearTimeout(later);
  later = setTimeout(() => (status.textContent = text), 50);
}

export function refuse(text) {
  const refusal = document.querySelector("#refusal");
  refusal.textContent = text;
  refusal.hidden = !text;
}
