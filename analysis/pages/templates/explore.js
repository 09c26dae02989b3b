// State of the page, its controls, and what is drawn when they change.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const nTokens = data.grid[0] * data.grid[1];
const stops = [...data.budgets, nTokens]; // "all" stands behind the budgets
const state = {
  sample: data.start.sample, stop: stops.indexOf(data.start.budget),
  methods: [...data.start.methods], pair: matchMedia("(min-width: 44rem)").matches, heat: "", token: null, word: null, cell: null, timer: null,
};
const panes = [0, 1].map(makePane);

// What is computed of a sample is kept with it; pictures and masks of samples that nobody opens are never decoded.
function prepare(sample) {
  if (sample.ready) return sample;
  const [width, height] = sample.size;
  const scores = {}, outlines = new Map();
  sample.unpacked = (name) => {
    if (!sample.scores[name]) return null;
    scores[name] = scores[name] || unpackScores(sample.scores[name]);
    return scores[name];
  };
  sample.outline = (packed) => {
    if (!outlines.has(packed)) outlines.set(packed, outline(unpackMask(packed, width, height), width, height));
    return outlines.get(packed);
  };
  sample.grid = gridOf(sample, data.grid);
  sample.picture = new Image();
  sample.picture.addEventListener("load", drawPanes);
  sample.picture.src = sample.image;
  if (sample.words.attention) sample.words.values = unpackLevels(sample.words.attention);
  sample.ready = true;
  return sample;
}

const current = () => prepare(data.samples[state.sample]);
const selectionOf = (sample, method) =>
  stops[state.stop] === nTokens ? sample.unpruned : sample.selections[method]?.[stops[state.stop]];
const methodOf = (index) => data.methods.find((m) => m.name === state.methods[index]) || data.methods[0];

function makePane(index) {
  const choice = element("select", { "aria-label": index ? "Second method" : "Method" });
  const pane = {
    index, choice, swatch: element("span", { class: "swatch" }), iou: element("span", { class: "iou" }),
    canvas: element("canvas", { tabindex: 0, role: "application", "aria-label": "Picture with token grid; arrow keys move over the tokens" }),
    caption: element("figcaption"),
  };
  choice.addEventListener("change", () => { state.methods[index] = choice.value; draw(); });
  pane.canvas.addEventListener("pointermove", (event) => pointAt(pane, event));
  pane.canvas.addEventListener("pointerdown", (event) => pointAt(pane, event));
  pane.canvas.addEventListener("keydown", moveToken);
  pane.figure = element("figure", { class: "pane" }, element("div", { class: "pane-head" }, pane.swatch, choice, pane.iou), pane.canvas, pane.caption);
  return pane;
}

function pointAt(pane, event) {
  const sample = current(), box = pane.canvas.getBoundingClientRect();
  const token = sample.grid.at(((event.clientX - box.left) / box.width) * sample.size[0], ((event.clientY - box.top) / box.height) * sample.size[1]);
  if (token === null || token === state.token || token >= nTokens) return;
  state.token = token;
  drawToken(byId("token"), current(), data, state);
  drawPanes();
}

function moveToken(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const [rows, columns] = data.grid, at = state.token ?? Math.floor(rows / 2) * columns + Math.floor(columns / 2);
  const clamp = (value, most) => Math.min(Math.max(value, 0), most - 1);
  state.token = clamp(Math.floor(at / columns) + step[0], rows) * columns + clamp((at % columns) + step[1], columns);
  drawToken(byId("token"), current(), data, state);
  drawPanes();
}

function drawPanes() {
  for (const pane of state.pair ? panes : panes.slice(0, 1)) drawPane(pane);
}

function drawPane(pane) {
  const sample = current(), method = methodOf(pane.index);
  if (!sample.picture.complete) return;
  const heat = state.heat ? sample.unpacked(state.heat) : null;
  const shares = heat && Array.from(heat.values, (value) => (heat.high > heat.low ? (value - heat.low) / (heat.high - heat.low) : 0));
  const selection = selectionOf(sample, method.name), whole = selection === sample.unpruned;
  const tokens = selection && !whole ? rolesOf(selection, nTokens) : null;
  pane.choice.value = method.name;
  pane.swatch.style.background = method.colour;
  pane.iou.textContent = selection ? `IoU ${ofIoU(selection.iou)}` : "not run";
  pane.caption.textContent = captionOf(selection, tokens, method, sample);
  drawPicture(pane.canvas, {
    image: sample.picture, sample, grid: sample.grid, tokens, heat: shares, token: state.token,
    predicted: selection && byId("show-mask").checked ? sample.outline(selection.mask) : null,
    truth: byId("show-truth").checked ? sample.outline(sample.truth) : null,
    dim: byId("show-dim").checked, marks: byId("show-marks").checked,
  });
}

// Counts by role, and the difference to the unpruned mask.
function captionOf(selection, tokens, method, sample) {
  if (!selection) return `${method.label} was not run with ${stops[state.stop]} tokens.`;
  if (!tokens) return `All ${nTokens} tokens: the unpruned model.`;
  const counts = Object.keys(selection.roles).map((role) => `${tokens.filter((found) => found === role).length} ${MARKS[role]?.about || role}`);
  if (selection.placeless) counts.push(`${selection.placeless} merged without one place`);
  if (selection.layers) counts.push(`tokens per layer ${selection.layers.join(", ")}; the last layer's are shown`);
  const change = selection.iou - sample.unpruned.iou;
  const moved = Math.abs(change) < 0.005 ? "unchanged" : `${Math.abs(change).toFixed(2)} ${change < 0 ? "lower" : "higher"}`;
  return `${counts.join(", ")}; IoU ${ofIoU(selection.iou)}, unpruned ${ofIoU(sample.unpruned.iou)} (${moved})`;
}

function drawLegend() {
  const shown = new Set();
  for (const pane of state.pair ? panes : panes.slice(0, 1)) {
    const sample = current(), selection = selectionOf(sample, methodOf(pane.index).name);
    if (selection && selection !== sample.unpruned) Object.keys(selection.roles).forEach((role) => shown.add(role));
  }
  byId("legend").replaceChildren(...[...shown].map((role) => {
    const icon = element("canvas", { width: 32, height: 32, "aria-hidden": "true" });
    drawMark(icon.getContext("2d"), role, 16, 16, 10);
    return element("li", {}, icon, MARKS[role]?.about || `kept: ${role}`);
  }));
}

function drawRamp(sample) {
  const scores = state.heat ? sample.unpacked(state.heat) : null;
  byId("ramp").hidden = !scores;
  if (!scores) return;
  byId("ramp-low").textContent = shorten(scores.low);
  byId("ramp-high").textContent = shorten(scores.high);
  byId("ramp-what").textContent = data.signals[state.heat]?.about || "score of the method, higher is kept";
}

function drawWordPanels(sample) {
  drawWords(byId("words"), sample.words, state, (word) => { if (word !== state.word) { state.word = word; showWord(sample); } });
  drawAttention(byId("attention"), sample.words, state, chooseCell);
}

// Only the chosen word changes, so the buttons stay: replacing one under the pointer or focus would lose both.
function showWord(sample) {
  byId("words").querySelectorAll("button").forEach((button) =>
    button.setAttribute("aria-pressed", String(Number(button.dataset.word) === state.word)));
  drawAttention(byId("attention"), sample.words, state, chooseCell);
}

function chooseCell(cell) { state.cell = cell; drawWordPanels(current()); }

function draw() {
  const sample = current(), count = stops[state.stop];
  byId("expression").textContent = `“${sample.text}”`;
  byId("sample").value = String(state.sample);
  byId("heat").value = state.heat;
  byId("budget").value = String(state.stop);
  byId("budget").setAttribute("aria-valuetext", `${count} of ${nTokens} tokens`);
  byId("kept").textContent = count === nTokens ? `all ${nTokens} tokens` : `${count} of ${nTokens} tokens`;
  byId("pair").setAttribute("aria-pressed", String(state.pair));
  byId("stage").classList.toggle("two", state.pair);
  const figures = (state.pair ? panes : panes.slice(0, 1)).map((pane) => pane.figure);
  if (byId("panes").childElementCount !== figures.length) byId("panes").replaceChildren(...figures);
  drawLegend();
  drawRamp(sample);
  drawToken(byId("token"), sample, data, state);
  drawOverview(byId("overview"), sample, data, state, count, (method, stop) => {
    state.methods[0] = method;
    state.stop = stops.indexOf(stop);
    draw();
  });
  drawPanes();
  writeLink();
}

function openSample(index) {
  state.sample = ((index % data.samples.length) + data.samples.length) % data.samples.length;
  state.word = state.cell = null;
  state.token = firstToken(current());
  drawWordPanels(current());
  draw();
}

// The token that the first method keeps first, so that the panel has something to show.
function firstToken(sample) {
  const scores = sample.unpacked(state.methods[0]);
  return scores ? scores.rank.indexOf(1) : Math.floor(nTokens / 2);
}

function setStop(stop) { state.stop = Math.min(Math.max(stop, 0), stops.length - 1); draw(); }

// From all tokens down to the fewest, round and round.
function togglePlay() {
  if (state.timer) clearInterval(state.timer);
  state.timer = state.timer ? null : setInterval(() => setStop(state.stop ? state.stop - 1 : stops.length - 1), 900);
  byId("play").setAttribute("aria-pressed", String(Boolean(state.timer)));
  byId("play").textContent = state.timer ? "❚❚ Pause" : "▶ Play";
}

function setPair(pair) { state.pair = pair; draw(); }

const KEYS = {
  n: () => openSample(state.sample + 1), p: () => openSample(state.sample - 1), b: () => setPair(!state.pair),
  "+": () => setStop(state.stop + 1), "-": () => setStop(state.stop - 1), " ": togglePlay,
};
document.addEventListener("keydown", (event) => {
  const typing = ["SELECT", "INPUT", "BUTTON", "SUMMARY"].includes(event.target.tagName) && event.key === " ";
  if (typing || event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

// The lists of expressions, heat maps and budgets, and the methods of each pane.
function fillLists() {
  byId("sample").replaceChildren(...data.samples.map((sample, i) =>
    element("option", { value: i }, `${i + 1}. ${sample.text} · IoU ${ofIoU(sample.unpruned.iou)} unpruned`)));
  const named = (name) => data.methods.find((method) => method.name === name)?.label || data.signals[name].label;
  const ranked = [...new Set([...Object.keys(data.signals), ...data.methods.map((method) => method.name)])]
    .filter((name) => data.samples[0].scores[name]);
  byId("heat").replaceChildren(element("option", { value: "" }, "off"), ...ranked.map((name) => element("option", { value: name }, named(name))));
  if (!ranked.includes(state.heat)) state.heat = "";
  byId("budget").max = stops.length - 1;
  byId("stops").replaceChildren(...stops.map((stop) => element("span", {}, stop === nTokens ? "all" : String(stop))));
  for (const pane of panes) {
    pane.choice.replaceChildren(...data.methods.map((m) => element("option", { value: m.name, title: m.about }, m.label)));
    state.methods[pane.index] = methodOf(pane.index).name;
  }
}

byId("sample").addEventListener("change", (event) => openSample(Number(event.target.value)));
byId("previous").addEventListener("click", () => openSample(state.sample - 1));
byId("next").addEventListener("click", () => openSample(state.sample + 1));
byId("budget").addEventListener("input", (event) => setStop(Number(event.target.value)));
byId("play").addEventListener("click", togglePlay);
byId("pair").addEventListener("click", () => setPair(!state.pair));
byId("heat").addEventListener("change", (event) => { state.heat = event.target.value; draw(); });
for (const id of ["show-marks", "show-dim", "show-mask", "show-truth"]) byId(id).addEventListener("change", drawPanes);
new ResizeObserver(drawPanes).observe(byId("panes"));
byId("save").addEventListener("click", savePicture);
byId("tour-back").addEventListener("click", () => showStep(step - 1));
byId("tour-next").addEventListener("click", () => showStep(step + 1));
byId("tour-end").addEventListener("click", () => showStep(null));
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && step !== null) showStep(null); });
byId("tour-start").addEventListener("click", () => showStep(0));
window.addEventListener("hashchange", () => { if (location.hash !== linkOf()) { readLink(); openSample(state.sample); } });
readLink();
fillLists();
openSample(state.sample);
