// The clips on the page: sent one after the other, listed, opened, removed.

import { inWords } from "./numbers.js";
import { get, remove, upload } from "./server.js";
import { announce, element, refuse } from "./words.js";

const ASK_EVERY_MS = 5 * 60_000; // The server keeps what is asked for.

export class Tray {
  // `opened(id)` hears of the clip that is to be shown, null for none.
  constructor({ opened }) {
    this.opened = opened;
    this.list = document.querySelector("#clips");
    this.input = document.querySelector("#clip");
    this.maxMib = Number(this.input.dataset.maxMib);
    this.clips = []; // {item, file?, id?, request?}
    this.open = null;
    this.input.addEventListener("change", () => {
      this.take(this.input.files);
      this.input.value = "";
    });
    for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
      document.addEventListener(type, (event) => {
        event.preventDefault();
        document.body.classList.toggle("over", type === "dragenter" || type === "dragover");
      });
    }
    document.addEventListener("drop", (event) => this.take(event.dataTransfer.files));
    for (const id of ["results_of_all", "corrections_of_all", "results"]) {
      document.getElementById(id).addEventListener("click", (event) => {
        if (event.currentTarget.href) announce("the download is being made \u2026");
      });
    }
    setInterval(() => this.ids().forEach((id) => get(`/clips/${id}/now`).catch(() => {})), ASK_EVERY_MS);
  }

  ids() {
    return this.clips.filter((clip) => clip.id).map((clip) => clip.id);
  }

  // After a reload: the clips that the address names.
  async restore() {
    const named = new URLSearchParams(location.hash.slice(1));
    const ids = (named.get("clips") ?? "").split(",").filter(Boolean);
    for (const id of ids) {
      const clip = this.listed(null);
      try {
        this.ready(clip, { id, ...(await get(`/clips/${id}/now`)) }, false);
      } catch (error) {
        this.clips = this.clips.filter((other) => other !== clip);
        clip.item.remove();
        refuse(error.message);
      }
    }
    const open = named.get("open");
    if (this.ids().includes(open)) this.choose(open, false);
    this.remember();
  }

  take(files) {
    refuse("");
    for (const file of files) this.listed(file);
    this.sendNext();
  }

  listed(file) {
    const clip = { file, state: file ? "waiting" : "", item: element("li") };
    clip.name = element("span", { class: "name" }, file?.name ?? "");
    clip.words = element("span", { class: "words" }, clip.state);
    clip.bar = element("progress", { max: 1, value: 0, "aria-label": `Progress of ${file?.name ?? "clip"}` });
    clip.remove = element("button", { type: "button", "aria-label": `Remove ${file?.name ?? "clip"}` }, "\u2715");
    clip.remove.addEventListener("click", () => this.drop(clip));
    clip.item.append(clip.name, clip.words, clip.bar, clip.remove);
    this.list.append(clip.item);
    this.clips.push(clip);
    return clip;
  }

  sendNext() {
    if (this.clips.some((clip) => clip.request)) return;
    const clip = this.clips.find((other) => other.state === "waiting");
    if (!clip) return;
    if (clip.file.size > this.maxMib * 2 ** 20) {
      this.failed(clip, `error: the file is larger than ${this.maxMib} MiB`);
      return;
    }
    this.tell(clip, "sending");
    clip.request = upload(clip.file, {
      progress: (part) => {
        if (part < 1) {
          clip.bar.value = part;
          this.tell(clip, `sending, ${Math.floor(100 * part)} %`);
        } else {
          clip.bar.removeAttribute("value"); // How long outlining takes nobody knows.
          this.tell(clip, "outlining \u2026");
        }
      },
      done: (content) => {
        this.ready(clip, content, true);
        this.sendNext();
      },
      failed: (reason) => this.failed(clip, reason),
    });
  }

  failed(clip, reason) {
    clip.request = clip.file = null;
    clip.bar.remove();
    clip.item.classList.add("failed");
    this.tell(clip, reason);
    announce(`${clip.name.textContent}: ${reason}`);
    this.sendNext();
  }

  tell(clip, words) {
    clip.state = words;
    clip.words.textContent = words;
  }

  ready(clip, content, isNew) {
    clip.request = clip.file = null; // The browser may forget the file, too.
    clip.id = content.id;
    clip.bar.remove();
    const button = element("button", { type: "button", class: "name" }, content.source);
    button.addEventListener("click", () => this.choose(clip.id, true));
    clip.name.replaceWith(button);
    clip.name = button;
    clip.remove.setAttribute("aria-label", `Remove ${content.source}`);
    this.summarise(clip.id, content);
    this.remember();
    if (!isNew) return;
    announce(`${content.source} is outlined: ${inWords(content.record)}`);
    if (!this.open) this.choose(clip.id, false);
  }

  summarise(id, { record, corrected }) {
    const clip = this.clips.find((other) => other.id === id);
    const frames = record.corrected_frames.length;
    const parts = [record.ef_disks_percent === null ? "no EF" : `EF\u00a0${record.ef_disks_percent.toFixed(0)}\u00a0%`];
    if (record.beats_corrected) parts.push("beats corrected");
    if (frames) parts.push(`${frames} outline${frames > 1 ? "s" : ""} corrected`);
    this.tell(clip, parts.join(", "));
    clip.corrected = corrected;
    this.links();
  }

  choose(id, moveFocus) {
    this.open = id;
    for (const clip of this.clips) {
      if (clip.id === id) clip.name.setAttribute("aria-current", "true");
      else clip.name.removeAttribute("aria-current");
    }
    this.remember();
    this.opened(id, moveFocus);
  }

  drop(clip) {
    const words = `Remove ${clip.name.textContent} and its corrections? They cannot be had back.`;
    if (clip.corrected && !confirm(words)) return;
    clip.request?.abort();
    const index = this.clips.indexOf(clip);
    this.clips.splice(index, 1);
    clip.item.remove();
    if (clip.id) remove(`/clips/${clip.id}`).catch((error) => refuse(error.message));
    if (clip.id && this.open === clip.id) {
      const next = this.clips.find((other) => other.id);
      if (next) this.choose(next.id, false);
      else {
        this.open = null;
        this.opened(null, false);
      }
    }
    announce(`${clip.name.textContent} is removed`);
    (this.clips[Math.min(index, this.clips.length - 1)]?.remove ?? this.input).focus();
    this.remember();
    this.sendNext();
  }

  remember() {
    const ids = this.ids();
    const hash = ids.length ? `#clips=${ids.join(",")}${this.open ? `&open=${this.open}` : ""}` : "#";
    history.replaceState(null, "", ids.length ? hash : location.pathname);
    this.links();
  }

  links() {
    const ids = this.ids();
    document.body.classList.toggle("some", this.clips.length > 0);
    document.querySelector("#downloads").hidden = !ids.length;
    document.querySelector("#results_of_all").href = `/results.zip?clips=${ids.join(",")}`;
    const corrections = document.querySelector("#corrections_of_all");
    const corrected = this.clips.filter((clip) => clip.corrected).map((clip) => clip.id);
    // A link without an address cannot be followed, and screen readers say so.
    if (corrected.length) {
      corrections.href = `/corrections.zip?clips=${corrected.join(",")}`;
      corrections.removeAttribute("aria-disabled");
      corrections.removeAttribute("role");
    } else {
      corrections.removeAttribute("href");
      corrections.setAttribute("role", "link");
      corrections.setAttribute("aria-disabled", "true");
    }
  }
}
