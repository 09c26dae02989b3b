// A tour of five steps. Each step sets the page to what it tells of.

// The budget at which the page starts, or the smallest of a run without it.
const few = () => Math.max(stops.indexOf(data.start.budget), 0);
const TOUR = [
  { at: "#panes", title: "The question", text: () => "The model is asked for the thing above the picture. It reads the image as a grid of tokens. " +
      "Orange is the mask that it draws with all of them, dashed green the true one.",
    set: () => { state.pair = false; state.heat = ""; state.stop = stops.length - 1; } },
  { at: ".controls", title: "Fewer tokens", text: () => `Now ${methodOf(0).label} leaves ${stops[few()]} of ${nTokens}. Dark squares are gone before the ` +
      "language model reads the image. The slider goes through the budgets.",
    set: () => { state.pair = false; state.heat = ""; state.stop = few(); } },
  { at: "#panes", title: "Does the choice matter?", text: () => `Beside it stands ${methodOf(1).label} with as many tokens. ` +
      "A ranking is worth something only if it does better than a choice that knows nothing.",
    set: () => { state.pair = true; state.heat = ""; state.stop = few(); } },
  { at: "#panes", title: "Why these tokens?", text: () => "The colours show how similar CLIP finds each patch to the text: bright is similar. If the named thing is dark, " +
      "the ranking is reversed, and keeping the least similar tokens keeps the thing.",
    set: () => { byId("show-dim").checked = false; state.pair = true; state.heat = data.signals.similarity ? "similarity" : ""; state.stop = few(); } },
  { at: ".words-panel", title: "What the text reads", text: () => "CLIP's text embedding is its state at [EOS]. The bars show where [EOS] looks. Much on [SOS], which means " +
      "nothing, would be a sink. One expression shows how it works; the report tells how often.",
    set: () => { state.pair = false; state.heat = data.signals.similarity ? "similarity" : ""; state.stop = few(); } },
];
let step = null;

function showStep(index) {
  document.querySelectorAll(".toured").forEach((found) => found.classList.remove("toured"));
  step = index === null || index < 0 || index >= TOUR.length ? null : index;
  byId("tour").hidden = step === null;
  if (step === null) { byId("tour-start").focus(); return; }
  if (state.timer) togglePlay();
  byId("show-dim").checked = true;
  TOUR[step].set();
  draw();
  byId("tour-title").textContent = `${step + 1} of ${TOUR.length}. ${TOUR[step].title}`;
  byId("tour-text").textContent = TOUR[step].text();
  byId("tour-back").disabled = step === 0;
  byId("tour-next").textContent = step === TOUR.length - 1 ? "Done" : "Next";
  const place = document.querySelector(TOUR[step].at);
  place.classList.add("toured");
  place.scrollIntoView({ block: "nearest" });
  byId("tour-next").focus({ preventScroll: true });
}
