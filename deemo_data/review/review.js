// The review page. It shows masked clips, takes boxes, and asks the server for everything else; see deemo_data/review.py.
// Times are frames of the clip, half-open; places are shares of the picture.

const $ = (id) => document.getElementById(id);
const video = $("video");
const STATES = { released: "released", ready: "ready", refused: "refused", waiting: "run again", withheld: "withheld",
  unfinished: "not made yet", kept: "may not go" };
const CORNERS = { nw: [0, 1], ne: [2, 1], sw: [0, 3], se: [2, 3] };
const STEP = 0.01; // of the picture, by key

let clips = [];
let chosen = null; // the id of the clip that was asked for last
let clip = null; // as /api/clip gives it
let frame = 0; // the one on the screen
let goal = null; // the one that the player was sent to; null while it plays
let sent = 0; // the one that is being sought
let busy = false; // it is on its way, or not loaded yet
let draft = null; // {box, start, end, replaces}
let version = 0; // of the videos: another one after each run

// ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

function make(tag, about = {}, ...inside) {
  const one = document.createElement(tag);
  const { dataset, ...rest } = about;
  Object.assign(one, rest);
  Object.assign(one.dataset, dataset);
  one.append(...inside);
  return one;
}

function place(one, [x0, y0, x1, y1]) {
  Object.assign(one.style, { left: `${x0 * 100}%`, top: `${y0 * 100}%`, width: `${(x1 - x0) * 100}%`, height: `${(y1 - y0) * 100}%` });
  return one;
}

async function ask(address, method = "GET", said = undefined) {
  const about = { method, headers: {} };
  if (said !== undefined) {
    about.body = JSON.stringify(said);
    about.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(address, about);
  } catch {
    throw new Error("The server does not answer. Type deemo review again, and open the address that it prints.");
  }
  const content = await answer.json();
  if (!answer.ok) throw new Error(`Not done: ${content.error}. ${content.advice}`);
  return content;
}

function tell(text, kind = "") {
  const where = $("work").hidden && text ? $("summary") : $("message");
  where.textContent = text;
  where.className = kind;
}

/** Do something that may fail, and say so if it does. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    tell(error.message, "bad");
  }
}

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const many = (n, one, more = `${one}s`) => `${n} ${n === 1 ? one : more}`;
const ms = (k) => (k * 1000 * clip.fps[1]) / clip.fps[0];
function clock(time) {
  const whole = Math.round(time);
  const [minutes, seconds] = [Math.floor(whole / 60000), (whole % 60000) / 1000];
  return `${minutes}:${seconds.toFixed(2).padStart(5, "0")}`;
}
const rate = () => clip.fps[0] / clip.fps[1];

/** [[start, end), ...] of frames that follow each other. */
function runsOf(frames) {
  const runs = [];
  for (const k of [...new Set(frames)].sort((a, b) => a - b)) {
    if (runs.length && runs.at(-1)[1] === k) runs.at(-1)[1] = k + 1;
    else runs.push([k, k + 1]);
  }
  return runs;
}
const leakRuns = () => runsOf(clip.hits.filter((h) => h.leaks).map((h) => h.frame));

// ── the list of clips ────────────────────────────────────────────────────────────────────────────────────────

async function loadClips() {
  const said = await ask("api/clips");
  clips = said.clips;
  $("project").textContent = said.project;
  document.title = `deemo review: ${said.project}`;
  const count = (state) => clips.filter((c) => c.state === state).length;
  const waiting = clips.filter((c) => c.waiting).length;
  const [refused, released, withheld] = ["refused", "released", "withheld"].map(count);
  const sentences = [
    refused ? `${many(refused, "clip was", "clips were")} refused.` : "No clip was refused.",
    `${many(released, "clip is", "clips are")} released.`,
  ];
  if (count("ready")) sentences.push(`${many(count("ready"), "goes", "go")} out with the next push or export.`);
  if (withheld) sentences.push(`${withheld} withheld by you.`);
  if (count("unfinished")) sentences.push(`${count("unfinished")} not made yet.`);
  if (count("kept")) sentences.push(`${count("kept")} may not go for another reason.`);
  if (waiting) sentences.push(`${many(waiting, "was", "were")} corrected since: run again.`);
  $("summary").className = "";
  $("summary").textContent = clips.length ? sentences.join(" ") : "There are no clips yet.";
  $("run").className = waiting ? "main" : "";
  $("run").disabled = !clips.length || said.run.running;
  const numbers = { refused, released, all: clips.length };
  for (const input of document.getElementsByName("filter")) input.parentElement.querySelector("b").textContent = numbers[input.value];
  listClips();
  if (said.run.running) watchRun(said.run.finished);
}

function listed() {
  const filter = document.querySelector("[name=filter]:checked").value;
  const find = $("find").value.trim().toLowerCase();
  const found = (c) => [c.id, c.outside, c.name].some((text) => text.toLowerCase().includes(find));
  return clips.filter((c) => (find ? found(c) : filter === "all" || c.state === filter));
}

function listClips() {
  $("clips").replaceChildren(...listed().map((c) => {
    const inside = [c.boxes ? many(c.boxes, "box", "boxes") : "", c.waiting && c.state !== "waiting" ? "run again" : ""].filter(Boolean);
    const button = make("button", { type: "button", dataset: { clip: c.id }, onclick: () => choose(c.id) },
      make("span", { className: "of", textContent: c.name }),
      make("span", { className: "row" }, `${clock(c.start_ms)}–${clock(c.end_ms)}${inside.map((t) => ` · ${t}`).join("")}`,
        make("span", { className: `badge ${c.state}`, textContent: STATES[c.state] })));
    if (clip && c.id === clip.id) button.setAttribute("aria-current", "true");
    return make("li", {}, button);
  }));
  const empty = !$("clips").children.length;
  $("none").hidden = !empty;
  const filter = document.querySelector("[name=filter]:checked").value;
  const why = { refused: "No clip was refused.", released: "No clip is released.", all: "There are no clips yet." };
  $("none").textContent = $("find").value ? "No clip is called so." : why[filter];
  if (clip) return;
  $("nothing").hidden = false;
  $("work").hidden = true;
  const [head, text] = $("nothing").children;
  head.textContent = !clips.length ? "There are no clips yet" : $("summary").textContent.split(". ")[0].replace(/\.$/, "");
  text.textContent = clips.length
    ? `${$("summary").textContent.split(". ").slice(1).join(". ")} Choose a clip to look at it.`
    : "Type deemo ingest, deemo segment and deemo run, then load this page again.";
}

function neighbour(by) {
  const ids = listed().map((c) => c.id);
  const at = clip ? ids.indexOf(clip.id) : -1;
  const next = at < 0 ? (by > 0 ? 0 : ids.length - 1) : clamp(at + by, 0, ids.length - 1);
  if (ids[next]) choose(ids[next]);
}

/** Open a clip, and let the keys be for it and no longer for the list. */
function choose(id) {
  document.activeElement?.blur();
  attempt(async () => {
    await open(id);
    if (!draft) $("screen").focus({ preventScroll: true });
  });
}

// ── one clip ─────────────────────────────────────────────────────────────────────────────────────────────────

async function open(id) {
  chosen = id;
  const looked = await ask(`api/clip/${id}`);
  if (chosen !== id) return; // somebody has chosen another meanwhile
  const same = clip && clip.id === id;
  clip = looked;
  history.replaceState(null, "", `#${id}`);
  if (!same) {
    tell("");
    setDraft(null);
    frame = goal = 0;
  }
  $("nothing").hidden = true;
  $("work").hidden = false;
  $("name").textContent = clip.name;
  $("badge").className = `badge ${clip.state}`;
  $("badge").textContent = STATES[clip.state];
  $("about").textContent = `${clock(clip.start_ms)}–${clock(clip.end_ms)} of the source · ${clip.frames} frames · outside ${clip.outside}`;
  const more = clip.waiting && clip.state !== "waiting" ? " It was corrected since: run again." : "";
  const why = clip.why && `${clip.why[0].toUpperCase()}${clip.why.slice(1)}.`;
  $("why").textContent = clip.state === "released" ? more.trim() : why + more;
  $("picture").style.setProperty("--ratio", `${clip.width} / ${clip.height}`);
  for (const slider of ["scrub", "from", "to"]) $(slider).max = clip.frames - 1;
  const address = clip.video ? `video/${id}?v=${version}` : "";
  if ((video.getAttribute("src") ?? "") !== address) {
    goal = aim();
    busy = Boolean(address);
    if (address) video.src = address;
    else video.removeAttribute("src");
    video.load();
  }
  $("screen").hidden = $("line").hidden = $("transport").hidden = !clip.video;
  listSaved();
  listRuns();
  const held = clip.withheld.length > 0;
  $("withhold").hidden = held;
  $("allow").hidden = !held;
  $("leave-text").textContent = held ? "You withheld it: it is never released."
    : "It leaves only when the leak check has passed and consent is on record. You can forbid it for good.";
  listClips();
  draw();
}

function listSaved() {
  $("saved").replaceChildren(...clip.boxes.map((b, i) => {
    const [start, end] = [b.start_frame, b.end_frame];
    return make("li", { dataset: { box: b.id } },
      make("button", { type: "button", className: "go", textContent: `Box ${i + 1}: frames ${start}–${end - 1}`,
        title: `Drawn ${b.at}`, onclick: () => seek(start) }),
      make("span", { className: "group" },
        make("button", { type: "button", textContent: "Change", onclick: () => change(b) }),
        make("button", { type: "button", textContent: "Delete", ariaLabel: `Delete box ${i + 1}`,
          onclick: () => attempt(() => removeBox(b)) })));
  }));
}

function listRuns() {
  const runs = leakRuns();
  const unsure = clip.hits.length - clip.hits.filter((h) => h.leaks).length;
  const count = runs.reduce((sum, [a, b]) => sum + b - a, 0);
  $("seen-text").textContent = (runs.length ? `A face in ${many(count, "frame")} of ${clip.frames}.` : "No face.")
    + (unsure ? ` ${many(unsure, "hit")} did not count (dashed).` : "");
  $("runs").replaceChildren(...runs.map(([a, b]) => make("li", {}, make("button", {
    type: "button", dataset: { start: a, end: b }, textContent: b - a > 1 ? `${a}–${b - 1}` : `${a}`, onclick: () => seek(a),
  }))));
}

// ── frames: the middle of a frame is sought, and what the player says it shows is believed ───────────────────

const aim = () => goal ?? frame;

function seek(k) {
  if (!clip?.video) return;
  video.pause();
  goal = clamp(Math.round(k), 0, clip.frames - 1);
  if (!busy) send();
}

function send() {
  busy = true;
  sent = goal;
  video.currentTime = (sent + 0.5) / rate();
}

function step(by) {
  seek(aim() + by);
}

function arrived(k) {
  frame = clamp(k, 0, clip.frames - 1);
  draw();
}

function presented(_, about) {
  if (clip && video.readyState >= 2) arrived(Math.round(about.mediaTime * rate()));
  video.requestVideoFrameCallback(presented);
}

video.addEventListener("seeked", () => {
  busy = false;
  if (goal === null) return;
  if (goal !== sent) send(); // somebody stepped on meanwhile
  else if (frame === sent || !video.requestVideoFrameCallback) arrived(sent);
  else setTimeout(() => !busy && goal !== null && arrived(goal), 500);
}); // else `presented` says it, once it is so: the picture may come a moment later than this event
video.addEventListener("loadedmetadata", () => {
  busy = false;
  if (video.paused) seek(aim());
});
video.addEventListener("pause", () => {
  if (goal === null && !video.ended) seek(frame);
  draw();
});
video.addEventListener("play", draw);
video.addEventListener("ended", () => seek(clip.frames - 1));
video.addEventListener("error", () => {
  if (video.getAttribute("src")) tell("This browser cannot play the video (H.264). Try another one.", "bad");
});
if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(presented);
else video.addEventListener("timeupdate", () => clip && !video.paused && arrived(Math.floor(video.currentTime * rate())));

function play() {
  if (!clip || !clip.video) return;
  if (!video.paused) video.pause();
  else {
    if (frame === clip.frames - 1) video.currentTime = 0;
    goal = null;
    attempt(() => video.play());
  }
}

function jump(by) {
  if (!clip) return;
  const starts = leakRuns().map(([a]) => a);
  const next = by > 0 ? starts.find((a) => a > aim()) : starts.findLast((a) => a < aim());
  if (next !== undefined) seek(next);
  else tell(starts.length ? `No ${by > 0 ? "later" : "earlier"} frame with a face.` : "The leak check saw no face in this clip.");
}

// ── what is drawn over the picture ───────────────────────────────────────────────────────────────────────────

function draw() {
  if (!clip) return;
  const hits = clip.hits.filter((h) => h.frame === frame);
  const marks = hits.map((h) => place(make("div", { className: h.leaks ? "leak" : "hit" },
    make("span", { textContent: `${h.leaks ? "face" : "did not count"} ${h.score.toFixed(2)}` })), h.box));
  clip.boxes.forEach((b, i) => {
    if (b.start_frame <= frame && frame < b.end_frame && b.id !== draft?.replaces)
      marks.push(place(make("div", { className: "box" }, make("span", { textContent: `box ${i + 1}` })), b.box));
  });
  $("marks").replaceChildren(...marks);

  const most = Math.max(1, clip.frames - 1);
  const stretch = (kind, a, b) => {
    const one = make("div", { className: kind });
    Object.assign(one.style, { left: `${(a / most) * 100}%`, width: `${(Math.max(0, b - 1 - a) / most) * 100}%` });
    return one;
  };
  $("stretches").replaceChildren(...leakRuns().map(([a, b]) => stretch("leak", a, b)),
    ...clip.boxes.map((b) => stretch("box", b.start_frame, b.end_frame)),
    ...(draft ? [stretch("draft", draft.start, draft.end)] : []));

  $("scrub").value = frame;
  $("scrub").setAttribute("aria-valuetext", `frame ${frame}, ${clock(ms(frame))}`);
  $("frame").dataset.frame = frame;
  $("frame").replaceChildren("Frame ", make("b", { textContent: frame }), ` of 0–${clip.frames - 1} · ${clock(ms(frame))}`);
  $("play").textContent = video.paused ? "Play" : "Pause";
  $("from-hit").hidden = !hits.some((h) => h.leaks);
  for (const button of $("runs").querySelectorAll("button"))
    button.classList.toggle("now", button.dataset.start <= frame && frame < button.dataset.end);
  drawDraft();
  drawOriginal();
}

function drawOriginal() {
  const asked = $("show-original").checked;
  const image = $("original");
  const address = asked && video.paused && clip.video && !busy && aim() === frame ? `original/${clip.id}/${frame}` : "";
  if ((image.getAttribute("src") ?? "") === address) return;
  image.hidden = $("raw").hidden = true;
  if (address) image.src = address;
  else image.removeAttribute("src");
}
$("original").addEventListener("load", () => { $("original").hidden = $("raw").hidden = false; });
$("original").addEventListener("error", () => {
  if ($("original").getAttribute("src")) attempt(() => ask($("original").getAttribute("src"))); // it says why
});

// ── the box that is being drawn ──────────────────────────────────────────────────────────────────────────────

function setDraft(next) {
  draft = next;
  $("span").hidden = !draft;
  $("hint").hidden = Boolean(draft);
  drawDraft();
}

function begin(box, focus = false) {
  if (!clip?.video) return;
  video.pause();
  const [here, half] = [aim(), Math.round(rate() / 2)];
  setDraft({ box, start: Math.max(0, here - half), end: Math.min(clip.frames, here + half + 1), replaces: null });
  draw();
  if (focus) $("draft").focus();
}

function change(b) {
  seek(clamp(aim(), b.start_frame, b.end_frame - 1));
  setDraft({ box: [...b.box], start: b.start_frame, end: b.end_frame, replaces: b.id });
  draw();
  $("draft").focus();
}

function drawDraft() {
  $("draft").hidden = !draft;
  if (!draft) return;
  place($("draft"), draft.box);
  const pixels = draft.box.map((v, i) => Math.round(v * (i % 2 ? clip.height : clip.width)));
  const size = `${pixels[2] - pixels[0]} × ${pixels[3] - pixels[1]} px at ${pixels[0]}, ${pixels[1]}`;
  $("draft").setAttribute("aria-label", `Box, ${size}. Arrows move it, Shift and arrows change its size, Enter saves.`);
  const here = draft.start <= frame && frame < draft.end;
  $("place").textContent = `${draft.replaces ? "Changed" : "New"} box: ${size}.${here ? "" : " It does not hold at the frame you see."}`;
  $("from").value = draft.start;
  $("to").value = draft.end - 1;
  $("from-at").textContent = `${draft.start} · ${clock(ms(draft.start))}`;
  $("to-at").textContent = `${draft.end - 1} · ${clock(ms(draft.end))}`;
}

function setSpan(start, end) {
  if (!draft) return;
  draft.start = clamp(start, 0, clip.frames - 1);
  draft.end = clamp(end, 1, clip.frames);
  draw();
}
const fromHere = (k = aim()) => setSpan(k, Math.max(draft?.end ?? 0, k + 1));
const toHere = (k = aim()) => setSpan(Math.min(draft?.start ?? 0, k), k + 1);

async function saveBox() {
  if (!draft) return;
  const [x0, y0, x1, y1] = draft.box;
  if ((x1 - x0) * clip.width < 2 || (y1 - y0) * clip.height < 2) throw new Error("The box is too small: draw it over the face.");
  tell("Saving…");
  const made = await ask("api/boxes", "POST", { clip: clip.id, start_frame: draft.start, end_frame: draft.end,
    box: draft.box, ...(draft.replaces ? { replaces: draft.replaces } : {}) });
  const held = `It holds in frames ${draft.start}–${draft.end - 1}.`;
  setDraft(null);
  await refresh();
  tell(`Saved. ${held} ${takenBack(made.revoked)}Run again to make the clip anew.`, "good");
}

const takenBack = (revoked) => (revoked.length ? `${many(revoked.length, "released clip was", "released clips were")} taken back. ` : "");

async function removeBox(b) {
  await ask(`api/boxes/${b.id}`, "DELETE");
  if (draft?.replaces === b.id) setDraft(null);
  await refresh();
  tell("The box is deleted. Run again to make the clip anew.", "good");
}

function fromHit() {
  const hit = clip?.hits.filter((h) => h.frame === frame && h.leaks).sort((a, b) => b.score - a.score)[0];
  if (!hit) return;
  const [x0, y0, x1, y1] = hit.box;
  const [wide, high] = [(x1 - x0) * 0.2, (y1 - y0) * 0.2]; // detectors draw tightly
  begin([x0 - wide, y0 - high, x1 + wide, y1 + high].map((v) => clamp(v, 0, 1)), true);
}

function point(event) {
  const area = $("picture").getBoundingClientRect();
  return [clamp((event.clientX - area.left) / area.width, 0, 1), clamp((event.clientY - area.top) / area.height, 0, 1)];
}

const ordered = ([x0, y0, x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];

$("picture").addEventListener("pointerdown", (event) => {
  if (event.button || !clip?.video) return;
  event.preventDefault();
  const [x, y] = point(event);
  const corner = event.target.dataset?.corner;
  const moves = event.target.id === "draft";
  const before = draft ? [...draft.box] : [x, y, x, y];
  let fresh = !corner && !moves;
  const follow = (later) => {
    const [u, v] = point(later);
    if (fresh) {
      if (Math.abs(u - x) * clip.width < 2 || Math.abs(v - y) * clip.height < 2) return;
      begin(ordered([x, y, u, v]));
      fresh = false;
    }
    if (corner) {
      const box = [...before];
      const [i, j] = CORNERS[corner];
      [box[i], box[j]] = [u, v];
      draft.box = ordered(box);
    } else if (moves) draft.box = shifted(before, u - x, v - y);
    else draft.box = ordered([x, y, u, v]);
    drawDraft();
  };
  const end = () => {
    $("picture").removeEventListener("pointermove", follow);
    if (draft) $("draft").focus({ preventScroll: true });
  };
  if (!video.paused) video.pause();
  $("picture").setPointerCapture(event.pointerId);
  $("picture").addEventListener("pointermove", follow);
  $("picture").addEventListener("pointerup", end, { once: true });
  $("picture").addEventListener("pointercancel", end, { once: true });
});

function shifted([x0, y0, x1, y1], dx, dy) {
  const [x, y] = [clamp(dx, -x0, 1 - x1), clamp(dy, -y0, 1 - y1)];
  return [x0 + x, y0 + y, x1 + x, y1 + y];
}

function arrowOnDraft(event) {
  const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
  if (!by || !draft) return;
  event.preventDefault();
  event.stopPropagation();
  const [x0, y0, x1, y1] = draft.box;
  draft.box = event.shiftKey
    ? [x0, y0, clamp(x1 + by[0], x0 + STEP, 1), clamp(y1 + by[1], y0 + STEP, 1)]
    : shifted(draft.box, ...by);
  drawDraft();
}

// ── `deemo run` ──────────────────────────────────────────────────────────────────────────────────────────────

let watching = false;

async function watchRun(before) {
  if (watching) return;
  watching = true;
  $("run").disabled = true;
  $("progress").hidden = false;
  try {
    for (;;) {
      const said = await ask("api/run");
      if (!said.running) {
        $("progress-text").textContent = said.error ? `The run ended: ${said.error}`
          : said.finished > before ? `${many(said.out, "clip")} came out, ${said.missing.length} did not` : "";
        $("progress-text").title = (said.missing ?? []).join("\n");
        break;
      }
      $("progress").max = said.of || 1;
      $("progress").value = said.done;
      $("progress-text").textContent = said.stage ? `${said.stage} ${said.done}/${said.of}` : "starting…";
      await new Promise((done) => setTimeout(done, 400));
    }
  } finally {
    watching = false;
    $("progress").hidden = true;
    $("run").disabled = false;
  }
  version += 1;
  await refresh();
  tell("");
}

async function refresh() {
  await loadClips();
  if (chosen) await open(chosen);
}

// ── what people press ────────────────────────────────────────────────────────────────────────────────────────

const KEYS = {
  " ": play, ",": () => step(-1), ".": () => step(1), Home: () => seek(0), End: () => seek(Infinity), n: () => jump(1), p: () => jump(-1),
  j: () => neighbour(1), k: () => neighbour(-1), b: () => begin([0.35, 0.3, 0.65, 0.7], true), h: fromHit,
  "[": () => fromHere(), "]": () => toHere(), Escape: () => setDraft(null), Enter: () => attempt(saveBox), o: () => $("show-original").click(),
};

document.addEventListener("keydown", (event) => {
  const on = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || $("sure").open || on.matches("[type=search]")) return;
  const takes = on.matches("button, summary, [type=checkbox], [type=radio]") ? [" ", "Enter"] : [];
  const slides = on.matches("[type=range], [type=radio]");
  if (takes.includes(event.key) || (slides && /^(Arrow|Home|End)/.test(event.key))) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const does = by ? () => step(event.shiftKey ? by * 10 : by) : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
$("draft").addEventListener("keydown", arrowOnDraft);

for (const [id, does] of Object.entries({
  play, back: () => step(-1), forth: () => step(1), "hit-before": () => jump(-1), "hit-after": () => jump(1),
  new: () => begin([0.35, 0.3, 0.65, 0.7], true), "from-hit": fromHit, discard: () => setDraft(null),
  "from-here": () => fromHere(), "to-here": () => toHere(),
})) $(id).addEventListener("click", () => does());

$("span").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(saveBox);
});
$("from").addEventListener("input", () => fromHere(Number($("from").value)));
$("to").addEventListener("input", () => toHere(Number($("to").value)));
$("scrub").addEventListener("input", () => seek(Number($("scrub").value)));
$("sound").addEventListener("change", () => { video.muted = !$("sound").checked; });
$("show-original").addEventListener("change", draw);
$("find").addEventListener("input", listClips);
for (const input of document.getElementsByName("filter")) input.addEventListener("change", listClips);

$("withhold").addEventListener("click", () => {
  $("sure").dataset.clip = clip.id;
  $("sure").showModal();
});
$("sure").addEventListener("close", () => attempt(async () => {
  if ($("sure").returnValue !== "yes") return;
  $("sure").returnValue = "";
  const made = await ask("api/withheld", "POST", { clip: $("sure").dataset.clip });
  await refresh();
  tell(`Withheld. ${takenBack(made.revoked)}`, "good");
}));
$("allow").addEventListener("click", () => attempt(async () => {
  for (const held of clip.withheld) await ask(`api/withheld/${held.id}`, "DELETE");
  await refresh();
  tell("No longer withheld: the leak check decides again.", "good");
}));
$("run").addEventListener("click", () => attempt(async () => {
  const said = await ask("api/run", "POST", {});
  await watchRun(said.finished);
}));

attempt(async () => {
  await loadClips();
  const asked = location.hash.slice(1);
  const first = clips.find((c) => c.id === asked) ?? clips.find((c) => c.state === "refused");
  if (!first && clips.length) document.querySelector("[name=filter][value=all]").checked = true;
  if (first && first.state !== "refused") document.querySelector("[name=filter][value=all]").checked = true;
  if (first) await open(chosen ?? first.id);
  else listClips();
});
