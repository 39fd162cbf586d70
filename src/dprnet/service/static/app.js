// The page's own script: sending files, following a job, the player and its timeline. Everything else is plain HTML
// and htmx. No text from the server is ever written as HTML here, but for fragments that the server escaped.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

function say(message) {
  const toast = $("#toast");
  toast.textContent = message;
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { toast.hidden = true; }, 12000);
}

async function sentence(response) {
  try { return (await response.json()).error.message; } catch { return `The service answered ${response.status}; please try again.`; }
}

async function ask(address, options = {}) {
  let response;
  try { response = await fetch(address, options); } catch { throw new Error("The service cannot be reached; is it still running?"); }
  if (!response.ok) throw new Error(await sentence(response));
  return response;
}

// -- drop zones ------------------------------------------------------------------------------------------------------

// A file may be dropped anywhere on the page: whoever misses the zone by a little does not lose the page.
function dropZone(form, chosen) {
  const input = $("input[type=file]", form), well = $(".well", form);
  const files = event => event.dataTransfer?.types.includes("Files");
  input.addEventListener("change", () => { if (input.files.length) chosen([...input.files]); });
  for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, event => { if (files(event)) { event.preventDefault(); well.classList.add("over"); } });
  document.addEventListener("dragleave", event => { if (!event.relatedTarget) well.classList.remove("over"); });
  document.addEventListener("drop", event => {
    well.classList.remove("over");
    if (!files(event) || !event.dataTransfer.files.length) return;
    event.preventDefault();
    try { input.files = event.dataTransfer.files; } catch { /* chosen has them all the same */ }
    chosen([...event.dataTransfer.files]);
  });
}

// -- sending a video -------------------------------------------------------------------------------------------------

function options(form) {
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string" && value) wanted.set(name, value);
  return wanted;
}

function sendVideo(form, file) {
  const wanted = options(form);
  wanted.set("name", file.name.slice(0, 200));
  const sending = $(".sending", form), bar = $("progress", sending), words = $("[role=status]", sending);
  const request = new XMLHttpRequest();
  request.open("POST", `/v1/jobs?${wanted}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", event => {
    if (!event.lengthComputable) return;
    bar.value = 100 * event.loaded / event.total;
    words.textContent = event.loaded < event.total ? `${Math.floor(bar.value)} % sent` : "Checking the video …";
  });
  const over = message => { sending.hidden = true; form.classList.remove("busy"); $("input[type=file]", form).value = ""; say(message); };
  request.addEventListener("error", () => over("The video could not be sent; the service may have refused it for its size."));
  request.addEventListener("load", () => {
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* told below */ }
    if (request.status === 202) location.assign(answer.links.page);
    else over(answer.error ? answer.error.message : `The service answered ${request.status}.`);
  });
  form.classList.add("busy");
  sending.hidden = false;
  bar.value = 0;
  words.textContent = "Sending …";
  request.send(file);
}

async function sendSample(button) {
  const wanted = options($("#send"));
  wanted.set("sample", button.dataset.sample);
  button.disabled = true;
  try { location.assign((await (await ask(`/v1/jobs?${wanted}`, { method: "POST" })).json()).links.page); }
  catch (error) { say(error.message); button.disabled = false; }
}

// -- one image -------------------------------------------------------------------------------------------------------

async function tryImage(form, file) {
  const busy = $(".busy", form), place = $("#answer");
  busy.hidden = false;
  try {
    const response = await ask(`/image/found?${options(form)}`, { method: "POST", body: file });
    place.innerHTML = await response.text();
    const shown = $("[data-preview]", place);
    if (tryImage.address) URL.revokeObjectURL(tryImage.address);
    shown.src = tryImage.address = URL.createObjectURL(file);
    $("h2", place).focus();
  } catch (error) { say(error.message); }
  busy.hidden = true;
}

// -- the catalogue ---------------------------------------------------------------------------------------------------

function toggle(button, open = button.getAttribute("aria-expanded") !== "true") {
  const part = document.getElementById(button.dataset.toggle);
  button.setAttribute("aria-expanded", String(open));
  part.hidden = !open;
  if (open) $("input", part).focus();
}

async function addItem(form) {
  const values = new FormData(form), id = (values.get("item_id") || "").trim(), busy = $(".busy", form);
  const photos = values.getAll("photo").filter(photo => photo.size);
  if (!photos.length) return say("Choose at least one photo.");
  if (!id) { $("[name=item_id]", form).focus(); return say("Give the item an id."); }
  values.delete("item_id");
  busy.hidden = false;
  try {
    await ask(`${form.dataset.add}?item_id=${encodeURIComponent(id)}`, { method: "PUT", body: values });
    form.reset();
    $(".picked-files", form).textContent = "Up to 8 photos of one item";
    toggle($("[data-toggle]"), false);
    const find = $("input[name=q]");
    find.value = id;
    find.dispatchEvent(new Event("input", { bubbles: true }));
    find.focus();
  } catch (error) { say(error.message); }
  busy.hidden = true;
}

// -- following a job -------------------------------------------------------------------------------------------------

function follow(watch) {
  const source = new EventSource(`/v1/jobs/${watch.dataset.job}/events`);
  let due = null, told = 0;
  const refresh = () => { due = null; $("#found").dispatchEvent(new Event("job")); };
  source.addEventListener("job", event => {
    const job = JSON.parse(event.data), count = job.garments.length;
    if (["done", "failed", "cancelled"].includes(job.state)) {
      source.close();
      clearTimeout(due);
      refresh();
      $("#told").textContent = job.error ? job.error.message : job.summary ? `Done: ${job.summary.garments} garments, ${job.summary.matches} items.` : "Stopped.";
    } else {
      if (count !== told) { told = count; $("#told").textContent = count ? `${count} garments so far` : ""; }
      if (due === null) due = setTimeout(refresh, 500);
    }
  });
  source.addEventListener("gone", () => { source.close(); location.assign("/"); });
}

// -- the player and its timeline -------------------------------------------------------------------------------------

function jump(seconds) {
  const player = $("#player");
  if (!player) return;
  player.currentTime = Number(seconds);
  if (player.getBoundingClientRect().bottom < 60) player.scrollIntoView({ block: "start" });
  player.play().catch(() => {});
}

function duration() {
  const stated = Number($("[data-duration]")?.dataset.duration);
  return stated || $("#player")?.duration || 0;
}

function moveHead() {
  const player = $("#player"), whole = duration();
  if (!player || !whole) return;
  const at = `${Math.min(100, 100 * player.currentTime / whole).toFixed(2)}%`;
  for (const line of $$(".head")) { line.setAttribute("x1", at); line.setAttribute("x2", at); }
}

function filter() {
  const off = new Set($$("[data-filter]").filter(box => !box.checked).map(box => box.dataset.filter));
  for (const one of $$("[data-tags]")) one.hidden = one.dataset.tags.split(" ").some(tag => off.has(tag));
}

// -- one listener for all that may appear later ----------------------------------------------------------------------

document.addEventListener("click", async event => {
  const jumper = event.target.closest("[data-jump]");
  if (jumper) return jump(jumper.dataset.jump);
  const lane = event.target.closest("[data-seek]");
  if (lane) { const box = lane.getBoundingClientRect(); return jump(duration() * Math.max(0, (event.clientX - box.left) / box.width)); }
  const toggler = event.target.closest("[data-toggle]");
  if (toggler) return toggle(toggler);
  const sample = event.target.closest("[data-sample]");
  if (sample) return sendSample(sample);
  const poster = event.target.closest("[data-post]");
  if (poster) return ask(poster.dataset.post, { method: "POST" }).catch(error => say(error.message));
  const deleter = event.target.closest("[data-delete]");
  if (deleter && confirm(deleter.dataset.sure)) {
    try {
      await ask(deleter.dataset.delete, { method: "DELETE" });
      if (deleter.dataset.gone) deleter.closest(deleter.dataset.gone).remove(); else location.assign("/");
    } catch (error) { say(error.message); }
  }
});

document.addEventListener("change", event => { if (event.target.matches("[data-filter]")) filter(); });

document.addEventListener("submit", event => {
  const form = event.target;
  if (form.matches("[data-add]")) { event.preventDefault(); addItem(form); }
  else if (form.matches("[data-make]")) {
    event.preventDefault();
    const name = $("input", form).value.trim();
    ask(`/v1/galleries/${encodeURIComponent(name)}`, { method: "PUT" })
      .then(() => location.assign(`/catalogue/${encodeURIComponent(name)}`)).catch(error => say(error.message));
  } else if (form.matches("[data-watch]")) {
    event.preventDefault();
    const wanted = new URLSearchParams({ gallery: $("[name=gallery]", form).value });
    ask(`${form.dataset.watch}/${event.submitter.value}${event.submitter.value === "start" ? `?${wanted}` : ""}`, { method: "POST" })
      .then(() => $("#seen").dispatchEvent(new Event("watch"))).catch(error => say(error.message));
  } else if (form.matches("[data-send], [data-try]")) event.preventDefault();
});

document.addEventListener("htmx:response:error", event => {
  let message = "That did not work; please try again.";
  try { message = JSON.parse(event.detail.ctx.text).error.message; } catch { /* not told in the usual shape */ }
  say(message);
});
document.addEventListener("htmx:error", () => say("The service cannot be reached; is it still running?"));

for (const form of $$("[data-send]")) dropZone(form, files => sendVideo(form, files[0]));
for (const form of $$("[data-try]")) dropZone(form, files => tryImage(form, files[0]));
for (const form of $$("[data-add]")) dropZone(form, files => {
  if (form.parentElement.hidden) toggle($("[data-toggle]"), true);
  $(".picked-files", form).textContent = files.map(file => file.name).join(", ");
});
const watch = $("#watch");
if (watch) {
  if (watch.dataset.final === "no") follow(watch);
  for (const kind of ["timeupdate", "seeked", "loadedmetadata"]) document.addEventListener(kind, moveHead, true); // a preview may come later
}
