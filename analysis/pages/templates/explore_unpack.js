"use strict";
// Readers of packed arrays; analysis/pages/explore/pack.py writes them.

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const words16 = (text) => new Uint16Array(bytes(text).buffer); // little-endian, as every browser's machine is

// Flags from one bit each.
function unpackBits(text, n) {
  const packed = bytes(text);
  return Array.from({ length: n }, (_, i) => Boolean((packed[i >> 3] >> (i & 7)) & 1));
}

// Numbers from 16-bit steps between their ends.
function unpackLevels({ low, high, values }) {
  return Float64Array.from(words16(values), (step) => low + ((high - low) * step) / 65535);
}

// Scores with their ranks (1 is the highest).
function unpackScores(packed) {
  const values = unpackLevels(packed);
  const rank = new Uint16Array(values.length);
  words16(packed.order).forEach((token, place) => { rank[token] = place + 1; });
  return { values, rank, low: packed.low, high: packed.high };
}

// Lengths of the runs of COCO's compressed form: five bits a letter, the sixth says that more follow; from the third
// run on, a number is the difference to the run before the last.
function runLengths(text) {
  const runs = [];
  for (let at = 0; at < text.length;) {
    let value = 0, shift = 0, code;
    do {
      code = text.charCodeAt(at++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

// A mask, row by row, from runs that go column by column, background first.
function unpackMask(text, width, height) {
  const mask = new Uint8Array(width * height);
  let place = 0;
  runLengths(text).forEach((run, i) => {
    for (let p = place; i % 2 && p < place + run; p++) mask[(p % height) * width + Math.floor(p / height)] = 1;
    place += run;
  });
  return mask;
}

// Outline of a mask as closed paths through the middles of its border's edges, in pixels of the mask.
function outline(mask, width, height) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x];
  const next = new Map(); // start corner -> end corners, the mask on the right
  const corner = (x, y) => y * (width + 1) + x;
  const edge = (from, to) => next.set(from, [...(next.get(from) || []), to]);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    if (!mask[y * width + x]) continue;
    if (!inside(x, y - 1)) edge(corner(x, y), corner(x + 1, y));
    if (!inside(x + 1, y)) edge(corner(x + 1, y), corner(x + 1, y + 1));
    if (!inside(x, y + 1)) edge(corner(x + 1, y + 1), corner(x, y + 1));
    if (!inside(x - 1, y)) edge(corner(x, y + 1), corner(x, y));
  }
  const path = new Path2D();
  for (const start of next.keys()) {
    let first = true;
    for (let at = start; next.get(at)?.length;) {
      const to = next.get(at).pop();
      const x = ((at % (width + 1)) + (to % (width + 1))) / 2;
      const y = (Math.floor(at / (width + 1)) + Math.floor(to / (width + 1))) / 2;
      first ? path.moveTo(x, y) : path.lineTo(x, y);
      first = false;
      at = to;
    }
    if (!first) path.closePath();
  }
  return path;
}
