// A clip that is dropped anywhere on the page, or chosen, is sent at once.
"use strict";

const form = document.querySelector("form");
const input = form.elements.namedItem("clip");
const status = document.querySelector("#status");

function send() {
  status.textContent = `Outlining ${input.files[0].name} \u2026`;
  document.body.classList.add("busy");
  form.submit();
}

input.addEventListener("change", () => input.files.length && send());
document.querySelector("#send").hidden = true; // Needed only where this script does not run.

for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", type === "dragenter" || type === "dragover");
  });
}
document.addEventListener("drop", (event) => {
  if (event.dataTransfer.files.length) {
    input.files = event.dataTransfer.files;
    send();
  }
});
// The browser's way back shows the page as it was left: busy.
window.addEventListener("pageshow", () => {
  document.body.classList.remove("busy");
  status.textContent = "";
});
