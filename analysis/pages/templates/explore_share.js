// The state of the page in its address, and the pictures as one file.

// Everything that a reader chose, as the part of the address behind "#".
function linkOf() {
  const parts = { sample: data.samples[state.sample].id, tokens: stops[state.stop] === nTokens ? "all" : stops[state.stop], method: state.methods[0] };
  if (state.pair) parts.beside = state.methods[1];
  if (state.heat) parts.heat = state.heat;
  return `#${new URLSearchParams(parts)}`;
}

function writeLink() {
  byId("link").href = linkOf();
  history.replaceState(null, "", linkOf());
}

// What the address asks for; what this page does not have is left as it is.
function readLink() {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (![...asked.keys()].length) return;
  const sample = data.samples.findIndex((found) => String(found.id) === asked.get("sample"));
  if (sample >= 0) state.sample = sample;
  const stop = asked.get("tokens") === "all" ? stops.length - 1 : stops.indexOf(Number(asked.get("tokens")));
  if (stop >= 0) state.stop = stop;
  ["method", "beside"].forEach((name, index) => {
    if (data.methods.some((method) => method.name === asked.get(name))) state.methods[index] = asked.get(name);
  });
  state.pair = asked.has("beside");
  state.heat = data.samples[0].scores[asked.get("heat")] ? asked.get("heat") : "";
}

// The panes beside each other with what they show in words, as one canvas.
function posterOf() {
  const shown = state.pair ? panes : panes.slice(0, 1);
  const size = Math.max(...shown.map((pane) => pane.canvas.width)), unit = size / 480;
  const height = Math.max(...shown.map((pane) => (pane.canvas.height * size) / pane.canvas.width));
  const gap = 16 * unit, line = 22 * unit, head = 3 * line, foot = 4.4 * line;
  const poster = element("canvas", { width: Math.round(shown.length * (size + gap) + gap), height: Math.round(head + height + foot) });
  const context = poster.getContext("2d"), style = getComputedStyle(document.body);
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, poster.width, poster.height);
  context.fillStyle = style.color;
  const write = (text, x, y, font, width) => { context.font = `${font} system-ui, sans-serif`; context.fillText(text, x, y, width); };
  write(byId("expression").textContent, gap, 1.2 * line, `italic ${20 * unit}px`, poster.width - 2 * gap);
  write(`${byId("kept").textContent}; orange: predicted mask, dashed green: true mask`, gap, 2.2 * line, `${13 * unit}px`, poster.width - 2 * gap);
  shown.forEach((pane, place) => {
    const x = gap + place * (size + gap);
    context.drawImage(pane.canvas, x, head, size, (pane.canvas.height * size) / pane.canvas.width);
    write(`${methodOf(pane.index).label} · ${pane.iou.textContent}`, x, head + height + 1.2 * line, `600 ${16 * unit}px`, size);
    write(pane.caption.textContent, x, head + height + 2.1 * line, `${12 * unit}px`, size);
    write(`model ${data.model}`, x, head + height + 3 * line, `${12 * unit}px`, size);
  });
  write("One expression is not evidence.", gap, head + height + 4 * line, `${12 * unit}px`);
  return poster;
}

function savePicture() {
  const name = `${byId("expression").textContent.replace(/[^\w]+/g, "-").replace(/^-|-$/g, "")}-${state.methods[0]}-${stops[state.stop]}.png`;
  element("a", { href: posterOf().toDataURL("image/png"), download: name }).click();
}
