// The panels below the picture: words, token, and the table of scores. Text goes in as text, never as markup.

// An element with attributes, properties that start with "on", and children.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

const shorten = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "undefined");
const ofIoU = (value) => value.toFixed(2);

// Attention of [EOS] to a word: one layer and head, or the mean over all.
function attentionTo(words, word, cell) {
  const n = words.texts.length;
  const at = (layer, head) => words.values[(layer * words.heads + head) * n + word];
  if (cell) return at(...cell);
  let sum = 0;
  for (let layer = 0; layer < words.layers; layer++) for (let head = 0; head < words.heads; head++) sum += at(layer, head);
  return sum / (words.layers * words.heads);
}

// The sentence as buttons, each with a bar for its attention.
function drawWords(place, words, state, choose) {
  if (words.lacks) { place.replaceChildren(element("p", { class: "soft" }, words.lacks)); return; }
  const shares = words.texts.map((_, word) => attentionTo(words, word, state.cell));
  const most = Math.max(...shares);
  place.replaceChildren(...words.texts.map((text, word) => {
    const bar = element("i");
    bar.style.width = `${(100 * shares[word]) / most}%`;
    const special = text === "[SOS]" || text === "[EOS]";
    return element("button", {
      type: "button", class: special ? "word special" : "word", "aria-pressed": String(state.word === word),
      "data-word": word, onpointerenter: () => choose(word), onfocus: () => choose(word), onclick: () => choose(word),
    }, text, bar);
  }));
}

// Layers by heads for one word; choosing a cell makes the bars above show that head.
function drawAttention(place, words, state, chooseCell) {
  if (words.lacks || state.word === null) { place.replaceChildren(); return; }
  const wide = words.heads > 8;
  const most = words.attention.high;
  const mean = attentionTo(words, state.word, null);
  const heads = Array.from({ length: words.heads }, (_, head) => element("th", { scope: "col" }, String(head)));
  const body = Array.from({ length: words.layers }, (_, layer) => element("tr", {},
    element("th", { scope: "row" }, `layer ${layer}`),
    ...Array.from({ length: words.heads }, (_, head) => {
      const share = attentionTo(words, state.word, [layer, head]);
      const chosen = state.cell && state.cell[0] === layer && state.cell[1] === head;
      const cell = element("td", {
        class: chosen ? "chosen" : false, title: `layer ${layer}, head ${head}: ${share.toFixed(3)}`,
        "data-share": share.toFixed(4), onclick: () => chooseCell(chosen ? null : [layer, head]),
      }, wide ? "" : share.toFixed(2));
      cell.style.background = `rgb(var(--heat) / ${(0.04 + 0.8 * (share / most)).toFixed(3)})`;
      return cell;
    })));
  const bars = state.cell ? `Bars above: layer ${state.cell[0]}, head ${state.cell[1]}.` : "Bars above: mean over layers and heads.";
  const text = `Attention of [EOS] to “${words.texts[state.word]}”: mean ${shorten(mean)}, ${shorten(mean * words.tokens)} times ` +
    `an equal share of the ${words.tokens} tokens. Columns are heads. ${bars}`;
  place.replaceChildren(element("p", { class: "soft" }, text), element("div", { class: "scroll" }, element("table", { class: wide ? "heads wide" : "heads" },
    element("thead", {}, element("tr", {}, element("td"), ...heads)), element("tbody", {}, ...body))));
}

// A sign per budget from few tokens to many, a tick where the token is kept; the text says the same.
// Rings and squares stay free for the marks in the picture.
function keptDots(sample, method, token, budgets, n) {
  const kept = budgets.map((budget) => {
    const found = sample.selections[method]?.[budget];
    return Boolean(found) && Boolean(rolesOf(found, n)[token]);
  });
  const said = budgets.filter((_, i) => kept[i]).join(", ") || "no budget";
  const dots = element("span", { class: "dots", role: "img", "aria-label": `kept at ${said}`, title: `kept at ${said}` });
  kept.forEach((flag) => dots.append(flag ? "✓" : element("b", {}, "·")));
  return dots;
}

// Role of every token of a selection (null: pruned), read once.
function rolesOf(selection, n) {
  if (!selection.tokens) {
    selection.tokens = Array(n).fill(null);
    for (const [role, packed] of Object.entries(selection.roles)) {
      unpackBits(packed, n).forEach((flag, token) => { if (flag) selection.tokens[token] = role; });
    }
  }
  return selection.tokens;
}

// What a rank means: where a method of the picture keeps context tokens, its ranks do not choose these.
function rankMeaning(sample, data, n) {
  const ranked = data.methods.filter(({ name }) => sample.unpacked(name));
  const filled = ranked.filter(({ name }) => Object.values(sample.selections[name] ?? {}).some(({ roles }) => "context" in roles));
  const but = filled.length ? ` But the ranks of ${filled.map(({ label }) => label).join("; ")} are by similarity, which ranks all but the context tokens.` : "";
  return `Rank 1 of ${n} is kept first.${but}`;
}

// Ranks and scores of a token under every method and signal, and the budgets that keep it.
function drawToken(place, sample, data, state) {
  if (state.token === null) { place.replaceChildren(); return; }
  const n = data.grid[0] * data.grid[1];
  const row = Math.floor(state.token / data.grid[1]), column = state.token % data.grid[1];
  const line = (name, label, dots) => {
    const scores = sample.unpacked(name);
    return element("tr", { class: state.methods.slice(0, state.pair ? 2 : 1).includes(name) ? "current" : false, "data-name": name },
      element("th", { scope: "row" }, label),
      element("td", {}, scores ? String(scores.rank[state.token]) : "–"),
      element("td", {}, scores ? shorten(scores.values[state.token]) : "no score"),
      element("td", {}, dots || ""));
  };
  const group = (text) => element("tr", { class: "group" }, element("th", { colspan: 4, scope: "colgroup" }, text));
  const text = `Token ${state.token}: row ${row}, column ${column}. ${rankMeaning(sample, data, n)} Ticks: kept with ${data.budgets.join(", ")} tokens.`;
  const head = (name) => element("th", { scope: "col", class: "right" }, name);
  place.replaceChildren(element("p", { class: "soft" }, text), element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, element("td"), head("rank"), head("score"), head("kept"))),
    element("tbody", {}, group("Methods"),
      ...data.methods.map((method) => line(method.name, method.label, keptDots(sample, method.name, state.token, data.budgets, n))),
      group("Signals, rank 1 is the highest"),
      ...Object.entries(data.signals).map(([name, signal]) => line(name, signal.label))))));
}

// IoU of every method at every budget; a cell shows what it stands for.
function drawOverview(place, sample, data, state, budget, choose) {
  const cell = (method, stop) => {
    const found = sample.selections[method.name]?.[stop];
    const current = method.name === state.methods[0] && stop === budget;
    return element("td", {}, found ? element("button", {
      type: "button", "aria-pressed": String(current), onclick: () => choose(method.name, stop),
      "aria-label": `${method.label}, ${stop} tokens: IoU ${ofIoU(found.iou)}`,
    }, ofIoU(found.iou)) : "–");
  };
  const heads = [...data.budgets, "all"].map((stop) => element("th", { scope: "col", class: "right" }, String(stop)));
  const unpruned = element("td", {}, ofIoU(sample.unpruned.iou));
  place.replaceChildren(element("div", { class: "scroll" }, element("table", { class: "cells" },
    element("thead", {}, element("tr", {}, element("th", {}, "tokens"), ...heads)),
    element("tbody", {}, ...data.methods.map((method) => {
      const swatch = element("span", { class: "swatch" });
      swatch.style.cssText = `background:${method.colour};display:inline-block;margin-right:.5em;width:.6em;height:.6em`;
      return element("tr", {}, element("th", { scope: "row", title: method.about }, swatch, method.label), ...data.budgets.map((stop) => cell(method, stop)), unpruned.cloneNode(true));
    })))));
}
