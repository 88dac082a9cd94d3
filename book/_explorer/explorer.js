// Draws the figures that a reader can move, from the data that stands beside each picture. No library, no request.
"use strict";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 360, HEIGHT = 260, LEFT = 60, RIGHT = 24, TOP = 24, BOTTOM = 42;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes = {}, text = "") {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

const digits = (value, places = 3) => value.toFixed(places).replace("-", "\u2212");
const short = (value) => String(Number(value.toPrecision(4))).replace("-", "\u2212");
const percent = (share) => `${digits(100 * share, 1)}%`;

// A panel with axes; x and y map numbers to its inside.
function panel(title, across, up, [left, right], [bottom, top], marksX, marksY) {
  const picture = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "explorer-panel" });
  const x = (value) => LEFT + (value - left) / (right - left || 1) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value - bottom) / (top - bottom || 1) * (HEIGHT - TOP - BOTTOM);
  const add = (name, attributes, text) => picture.appendChild(shape(name, attributes, text));
  const middle = (LEFT + WIDTH - RIGHT) / 2;
  add("path", { d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}`, class: "axis" });
  add("text", { x: middle, y: 14, class: "title" }, title);
  add("text", { x: middle, y: HEIGHT - 6 }, across);
  add("text", { x: 12, y: (TOP + HEIGHT - BOTTOM) / 2, transform: `rotate(-90 12 ${(TOP + HEIGHT - BOTTOM) / 2})` }, up);
  for (const [value, label] of marksX) {
    add("path", { d: `M${x(value)} ${HEIGHT - BOTTOM}v4`, class: "axis" });
    add("text", { x: x(value), y: HEIGHT - BOTTOM + 16 }, label);
  }
  for (const [value, label] of marksY) {
    add("path", { d: `M${LEFT} ${y(value)}h-4`, class: "axis" });
    add("text", { x: LEFT - 7, y: y(value) + 4, class: "tick" }, label);
  }
  return { picture, add, x, y };
}

const shares = [0, 0.25, 0.5, 0.75, 1].map((value) => [value, String(value)]);
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

let count = 0;
function control(form, label, input) {
  input.id = `explorer-${++count}`;
  const value = element("output", { for: input.id });
  form.append(element("div", { class: "explorer-control" }, element("label", { for: input.id }, label), input, value));
  return { input, value };
}
const slider = (last, start) => element("input", { type: "range", min: 0, max: last, step: 1, value: start });
function choice(options, start) {
  const made = element("select");
  for (const [value, label] of options) made.append(element("option", { value }, label));
  made.value = start;
  return made;
}
function say(part, text) {
  part.value.textContent = text;
  part.input.setAttribute("aria-valuetext", text);
}
function frame(host) {
  const form = element("form", { class: "explorer-controls" });
  const panels = element("div", { class: "explorer-panels" });
  const text = element("p", { class: "explorer-text", role: "status" });
  form.addEventListener("submit", (event) => event.preventDefault());
  host.append(form, panels, text);
  return { form, panels, text };
}

function weights(host, data) {
  const { form, panels, text } = frame(host);
  const attack = control(form, "Attack", choice(Object.entries(data.attacks), "worst"));
  const weight = control(form, "Weight b", slider(data.weights.length - 1, data.start.weight));
  const epsilon = control(form, "Budget epsilon", slider(data.epsilons.length - 1, data.start.epsilon));
  const last = data.epsilons.at(-1);
  const cell = (row, column) => data.cells[attack.input.value][row][column];
  const spread = (values) => values[1] === null ? "" : ` [${digits(values[1])}, ${digits(values[2])}]`;

  function curve(to, row, colour, dashed) {
    const known = data.epsilons.map((value, i) => [value, cell(row, i)]).filter(([, values]) => values);
    const band = known.filter(([, values]) => values[1] !== null);
    const edge = (end) => band.map(([value, values]) => [to.x(value), to.y(values[end])]);
    if (band.length && !dashed)
      to.add("path", { d: `${path([...edge(2), ...edge(1).reverse()])}Z`, fill: colour, "fill-opacity": 0.25 });
    to.add("path", {
      d: path(known.map(([value, values]) => [to.x(value), to.y(values[0])])), fill: "none", stroke: colour,
      "stroke-width": 2, ...(dashed ? { "stroke-dasharray": "5 3" } : {}),
    });
  }

  function draw() {
    const row = Number(weight.input.value), column = Number(epsilon.input.value);
    const b = data.weights[row], at = data.epsilons[column], name = data.attacks[attack.input.value];
    const marks = data.epsilons.filter((_, i) => i % 2 === 0 || data.epsilons.length < 6);
    const legend = row ? `${name} (dashed: ${data.names.reference})` : name;
    const left = panel(legend, "epsilon", "accuracy", [0, last], [0, 1], marks.map((e) => [e, String(e)]), shares);
    left.add("path", { d: `M${left.x(at)} ${left.y(0)}V${left.y(1)}`, class: "cursor" });
    curve(left, 0, data.colours.reference, true);
    if (row) curve(left, row, data.colours.weight, false);
    const here = cell(row, column), there = cell(0, column);
    if (here) left.add("circle", { cx: left.x(at), cy: left.y(here[0]), r: 4.5, fill: "currentColor" });

    const [columns, rows] = [data.epsilons.length, data.weights.length];
    const right = panel("every choice (full colour: 1, \u00d7: diverged)", "epsilon", "weight b", [0, columns], [0, rows],
      data.epsilons.map((e, i) => [i + 0.5, String(e).replace(/^0\./, ".")]).filter((_, i) => i % 2 === 0 || columns < 6),
      data.weights.map((w, i) => [i + 0.5, String(w)]));
    const wide = right.x(1) - right.x(0), high = right.y(0) - right.y(1);
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) {
      const values = cell(r, c), place = { x: right.x(c) + 1, y: right.y(r + 1) + 1, width: wide - 2, height: high - 2 };
      if (values) right.add("rect", { ...place, fill: data.colours.weight, "fill-opacity": values[0], class: "cell" });
      else right.add("text", { x: place.x + wide / 2, y: place.y + high / 2 + 3, class: "none" }, "\u00d7");
      right.add("rect", { ...place, class: "choice", "data-weight": r, "data-epsilon": c }).addEventListener("click", () => {
        weight.input.value = r;
        epsilon.input.value = c;
        draw();
      });
    }
    right.add("rect", {
      x: right.x(column), y: right.y(row + 1), width: wide, height: high, class: "chosen", "pointer-events": "none",
    });

    const who = row ? data.names.weight : data.names.reference;
    const what = here ? `accuracy of ${who} ${digits(here[0])}${spread(here)}`
      : `no accuracy of ${who}: every training diverged`;
    const beside = row && there ? `, of ${data.names.reference} ${digits(there[0])}${spread(there)}` : "";
    text.textContent = `${name[0].toUpperCase()}${name.slice(1)}, epsilon ${at}, weight ${b}: ${what}${beside}. ` +
      `${data.finished[row]} of ${data.seeds[row]} trainings finished; brackets hold 95% intervals over seeds.`;
    left.picture.setAttribute("aria-label", `Accuracy against epsilon. ${text.textContent}`);
    right.picture.setAttribute("aria-label", "Accuracy of every weight at every epsilon; a frame marks the choice.");
    say(weight, String(b));
    say(epsilon, String(at));
    panels.replaceChildren(left.picture, right.picture);
  }
  form.addEventListener("input", draw);
  draw();
}

function thresholds(host, data) {
  const { form, panels, text } = frame(host);
  const network = control(form, "Training loss", choice(data.networks.map((n, i) => [i, n.name]), data.start.network));
  const attack = control(form, "Attack", choice([], ""));
  const metric = control(form, "Metric", choice(Object.entries(data.metrics), data.start.metric));
  const threshold = control(form, "Threshold", slider(1, 0));
  let scores, marks, low;

  // The slider walks over every score on the histogram's axis; it starts where 5% of the normal images are rejected.
  // The axis leaves out the lowest 1% of the scores, which may lie far away, but never the start.
  function choose() {
    const { pairs } = data.networks[network.input.value];
    const wanted = attack.input.value || data.start.attack;
    attack.input.replaceChildren(...Object.keys(pairs).map((key) => element("option", { value: key }, data.attacks[key])));
    attack.input.value = wanted in pairs ? wanted : Object.keys(pairs)[0] ?? "";
    scores = pairs[attack.input.value]?.[metric.input.value];
    if (!scores) { text.textContent = "No attack succeeds often enough on this network."; panels.replaceChildren(); return; }
    marks = [...new Set([...scores.normal, ...scores.attacked])].sort((one, other) => one - other);
    const first = marks.indexOf(scores.normal[Math.floor(0.05 * scores.normal.length)]);
    const left = Math.min(first, Math.floor(0.01 * marks.length));
    low = marks[left];
    threshold.input.min = left;
    threshold.input.max = marks.length - 1;
    threshold.input.value = first;
    draw();
  }

  const kept = (values, least) => values.filter((value) => value >= least).length / values.length;

  function draw() {
    if (!scores) return;
    const { name, colour } = data.networks[network.input.value];
    const under = data.attacks[attack.input.value], least = marks[Number(threshold.input.value)];
    const high = marks.at(-1), bins = 24;
    const clip = (value) => Math.min(Math.max(value, low), high);
    const histogram = (values) => {
      const shares = new Array(bins).fill(0);
      for (const value of values) {
        const bin = Math.min(bins - 1, Math.floor((clip(value) - low) / (high - low || 1) * bins));
        shares[bin] += 1 / values.length;
      }
      return shares;
    };
    const both = [histogram(scores.normal), histogram(scores.attacked)];
    const top = Math.max(...both.flat());
    const noisy = /noise/i.test(under) ? "noisy" : "attacked";
    const left = panel(`${name}, ${under} (line: normal, filled: ${noisy})`, data.metrics[metric.input.value], "share of images", [low, high], [0, top],
      [[low, `${marks[0] < low ? "\u2264 " : ""}${short(low)}`], ...[(low + high) / 2, high].map((v) => [v, short(v)])], [0, top / 2, top].map((v) => [v, v.toFixed(2)]));
    const stairs = (shares) => path([[left.x(low), left.y(0)], ...shares.flatMap((share, i) =>
      [i, i + 1].map((edge) => [left.x(low + edge / bins * (high - low)), left.y(share)])), [left.x(high), left.y(0)]]);
    left.add("path", { d: stairs(both[1]), fill: colour, "fill-opacity": 0.35, stroke: colour });
    left.add("path", { d: stairs(both[0]), class: "normal" });
    left.add("path", { d: `M${left.x(least)} ${left.y(0)}V${TOP}`, class: "cursor" });

    const right = panel("ROC", `${noisy} images kept`, "normal images kept", [0, 1], [0, 1], shares, shares);
    const curve = [...marks].reverse().map((value) => [kept(scores.attacked, value), kept(scores.normal, value)]);
    const corners = [[0, 0], ...curve].map(([x, y]) => [right.x(x), right.y(y)]);
    right.add("path", { d: path([[right.x(0), right.y(0)], [right.x(1), right.y(1)]]), class: "grid" });
    right.add("path", { d: path(corners), fill: "none", stroke: colour, "stroke-width": 2 });
    const [normal, attacked] = [kept(scores.normal, least), kept(scores.attacked, least)];
    right.add("circle", { cx: right.x(attacked), cy: right.y(normal), r: 5, fill: "currentColor" });

    text.textContent = `Threshold ${short(least)}: keeps ${percent(normal)} of ${scores.normal.length} normal images and ` +
      `${percent(attacked)} of ${scores.attacked.length} ${noisy} ones. AUC ${digits(scores.auc)}.`;
    left.picture.setAttribute("aria-label", `Histogram of scores, ${name}, ${under}. ${text.textContent}`);
    right.picture.setAttribute("aria-label", `ROC curve; a dot marks the threshold. ${text.textContent}`);
    say(threshold, short(least));
    panels.replaceChildren(left.picture, right.picture);
  }
  threshold.input.addEventListener("input", draw);
  for (const part of [network, attack, metric]) part.input.addEventListener("change", choose);
  choose();
}

for (const host of document.querySelectorAll(".explorer")) {
  const data = JSON.parse(host.querySelector("script").textContent);
  ({ weights, thresholds })[data.kind](host, data);
  host.hidden = false;
  host.previousElementSibling.hidden = true; // the picture for where no script runs
}
