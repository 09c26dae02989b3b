// Drawing of one picture with its tokens and masks.

const RAMP = [[13, 8, 66], [106, 23, 110], [188, 55, 84], [243, 120, 25], [252, 230, 120]];

// Colour of a share between 0 and 1.
function heatColour(share, alpha) {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  const mixed = RAMP[low].map((value, i) => Math.round(value + (RAMP[low + 1][i] - value) * (at - low)));
  return `rgb(${mixed.join(" ")} / ${alpha})`;
}

// A mark per role: shape and colour both tell them apart.
const MARKS = {
  kept: { colour: "#ffffff", about: "kept", draw: (c, x, y, r) => c.arc(x, y, r * 0.6, 0, 7) },
  similarity: { colour: "#ffb000", about: "kept by similarity", hollow: true, draw: (c, x, y, r) => c.arc(x, y, r, 0, 7) },
  context: { colour: "#56b4e9", about: "kept as context", draw: (c, x, y, r) => {
    c.moveTo(x, y - r * 1.2); c.lineTo(x + r * 1.2, y); c.lineTo(x, y + r * 1.2); c.lineTo(x - r * 1.2, y); c.closePath();
  } },
  merged: { colour: "#ff9ed2", about: "merged here", hollow: true, draw: (c, x, y, r) => {
    c.moveTo(x - r, y); c.lineTo(x + r, y); c.moveTo(x, y - r); c.lineTo(x, y + r);
  } },
  other: { colour: "#b8f26b", about: "kept for another reason", hollow: true, draw: (c, x, y, r) => c.rect(x - r, y - r, 2 * r, 2 * r) },
};
const markOf = (role) => MARKS[role] || MARKS.other;

function drawMark(context, role, x, y, radius) {
  const mark = markOf(role);
  context.beginPath();
  mark.draw(context, x, y, radius);
  // A dark rim keeps a mark visible on any ground.
  context.lineWidth = radius * (mark.hollow ? 0.95 : 0.5);
  context.strokeStyle = "rgb(0 0 0 / .65)";
  context.stroke();
  if (mark.hollow) {
    context.lineWidth = radius * 0.45;
    context.strokeStyle = mark.colour;
    context.stroke();
  } else {
    context.fillStyle = mark.colour;
    context.fill();
  }
}

// The token grid inside a picture: rectangle of a token, and token at a point, both in picture pixels.
function gridOf(sample, [rows, columns]) {
  const [width, height] = sample.size;
  const [top, left, bottom, right] = sample.box;
  const x0 = left * width, y0 = top * height;
  const w = ((right - left) * width) / columns, h = ((bottom - top) * height) / rows;
  return {
    cell: (token) => [x0 + (token % columns) * w, y0 + Math.floor(token / columns) * h, w, h],
    at: (x, y) => {
      const column = Math.floor((x - x0) / w), row = Math.floor((y - y0) / h);
      return row >= 0 && column >= 0 && row < rows && column < columns ? row * columns + column : null;
    },
    frame: [x0, y0, w * columns, h * rows],
    rows, columns, w, h,
  };
}

function strokeOutline(context, path, colour, dash, unit) {
  context.setLineDash([]);
  context.lineJoin = "round";
  context.lineWidth = 3.6 * unit;
  context.strokeStyle = "rgb(0 0 0 / .6)";
  if (!dash) context.stroke(path);
  context.setLineDash(dash ? [7 * unit, 4 * unit] : []);
  context.lineWidth = 2 * unit;
  context.strokeStyle = colour;
  context.stroke(path);
  context.setLineDash([]);
}

// Draw into a canvas whose drawing size is set here from its size on the screen.
// view: image, sample, grid, tokens (role per token or null), heat (shares per token) or null, predicted and truth
// (paths) or null, dim, marks, token under the cursor.
function drawPicture(canvas, view) {
  const [width, height] = view.sample.size;
  const dense = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = Math.round(canvas.clientWidth * dense);
  canvas.height = Math.round((canvas.width * height) / width);
  const scale = canvas.width / width, unit = dense / scale;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(view.image, 0, 0, width, height);
  const { cell, frame, rows, columns, w, h } = view.grid;
  const pruned = (token) => view.tokens && !view.tokens[token];
  for (let token = 0; token < rows * columns; token++) {
    const place = cell(token);
    if (view.heat) {
      context.fillStyle = heatColour(view.heat[token], 0.85);
      context.fillRect(...place);
    }
    if (view.dim && pruned(token)) {
      context.fillStyle = view.heat ? "rgb(10 11 14 / .5)" : "rgb(10 11 14 / .66)";
      context.fillRect(...place);
    }
  }
  context.beginPath();
  for (let i = 0; i <= columns; i++) { context.moveTo(frame[0] + i * w, frame[1]); context.lineTo(frame[0] + i * w, frame[1] + frame[3]); }
  for (let i = 0; i <= rows; i++) { context.moveTo(frame[0], frame[1] + i * h); context.lineTo(frame[0] + frame[2], frame[1] + i * h); }
  context.lineWidth = 0.75 * unit;
  context.strokeStyle = "rgb(255 255 255 / .2)";
  context.stroke();
  if (view.predicted) {
    context.fillStyle = "rgb(255 138 61 / .22)";
    context.fill(view.predicted, "evenodd");
    strokeOutline(context, view.predicted, "#ff7a1f", false, unit);
  }
  if (view.truth) strokeOutline(context, view.truth, "#2fe0ac", true, unit);
  if (view.marks && view.tokens) {
    view.tokens.forEach((role, token) => {
      const [x, y] = cell(token);
      if (role) drawMark(context, role, x + w / 2, y + h / 2, Math.min(Math.min(w, h) * 0.2, 6 * unit));
    });
  }
  if (view.token !== null) {
    const [x, y] = cell(view.token);
    context.lineWidth = 4 * unit;
    context.strokeStyle = "rgb(0 0 0 / .8)";
    context.strokeRect(x, y, w, h);
    context.lineWidth = 2 * unit;
    context.strokeStyle = "#ffffff";
    context.strokeRect(x, y, w, h);
  }
}
