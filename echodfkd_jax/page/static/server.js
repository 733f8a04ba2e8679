// What the page asks of its server, and the words of a refusal.

async function answered(response) {
  if (response.ok) return response;
  let words = `error: the server answered ${response.status}`;
  try {
    words = (await response.json()).error;
  } catch { /* Not one of its own refusals. */ }
  throw Object.assign(new Error(words), { status: response.status });
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("error: the server does not answer; is it still running?");
  }
  return answered(response);
}

export async function get(path) {
  return (await asked(path)).json();
}

// `body` is JSON already.
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await asked(path, { method: "POST", headers, body })).json();
}

export async function remove(path) {
  await asked(path, { method: "DELETE" });
}

// Every frame as a JPEG file, each behind its length.
export async function pictures(path) {
  const content = await (await asked(path)).arrayBuffer();
  const view = new DataView(content);
  const found = [];
  for (let at = 0; at < content.byteLength;) {
    const length = view.getUint32(at);
    found.push(new Blob([content.slice(at + 4, at + 4 + length)], { type: "image/jpeg" }));
    at += 4 + length;
  }
  return found;
}

// Sends a file; `fetch` would not tell how far it is. Returns the request, to be given up.
export function upload(file, { progress, done, failed }) {
  const request = new XMLHttpRequest();
  const form = new FormData();
  form.append("clip", file);
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) progress(event.loaded / event.total);
  });
  request.addEventListener("load", () => {
    let content = {};
    try {
      content = JSON.parse(request.responseText);
    } catch { /* Told below. */ }
    if (request.status === 201) done(content);
    else failed(content.error ?? `error: the server answered ${request.status}`);
  });
  request.addEventListener("error", () => failed("error: the file did not arrive; is the server running?"));
  request.open("POST", "/clips");
  request.send(form);
  return request;
}
