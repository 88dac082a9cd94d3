// The page on which a reader attacks a network. Uses the parts of explorer.js and the arithmetic of network.js.
"use strict";

const SIDE = 28, HERE = document.currentScript.src, LOSSES = { ce: "CE", drs: "DRS", rce: "RCE" };
const arrived = new Map();

// Called by the scripts that hold the data: scripts, because a page opened from a folder may not fetch files.
function received(name, text) {
  arrived.set(name, readTensors(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))));
}
function loaded(name) {
  return new Promise((resolve, reject) => {
    if (arrived.has(name)) { resolve(arrived.get(name)); return; }
    const script = element("script", { src: new URL(`${name}.js`, HERE) });
    script.addEventListener("load", () => resolve(arrived.get(name)));
    script.addEventListener("error", () => reject(new Error(`${name}.js did not load`)));
    document.head.append(script);
  });
}
const networks = new Map();
async function networkOf(loss) {
  if (!networks.has(loss))
    networks.set(loss, new Network(await loaded(loss), await loaded(`${loss}_examples`)));
  return networks.get(loss);
}

// A picture of 28 x 28 pixels; colour gives red, green and blue (0 to 255) of a value.
function paint(canvas, values, colour) {
  const pixels = new ImageData(SIDE, SIDE);
  values.forEach((value, i) => pixels.data.set([...colour(value), 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
const grey = (value) => [255 * value, 255 * value, 255 * value];
const signed = (value) => (value > 0 ? [213, 94, 0] : [0, 114, 178]).map((end) => 128 + Math.abs(value) * (end - 128));
const canvas = (attributes = {}) => element("canvas", { width: SIDE, height: SIDE, ...attributes });
function picture(panels, caption) {
  const made = canvas({ role: "img" });
  panels.append(element("figure", {}, made, element("figcaption", {}, caption)));
  return (values, colour, text) => { paint(made, values, colour); made.setAttribute("aria-label", text); };
}

// Where a reader draws, with a pointer or with the arrow keys; changed is called after every stroke.
function drawingPad(host, changed) {
  const ink = new Float32Array(SIDE * SIDE);
  const pad = canvas({
    tabindex: 0, role: "application",
    "aria-label": "Drawing, 28 by 28 pixels. Arrow keys move the pen, with Shift they draw, Backspace erases.",
  });
  const clear = element("button", { type: "button", class: "btn btn-sm btn-outline-secondary" }, "Clear the drawing");
  const pen = { x: 13, y: 13 };
  let last = null;

  function show() {
    paint(pad, ink, grey);
    if (document.activeElement !== pad) return;
    const context = pad.getContext("2d");
    context.fillStyle = "#e69f00";
    context.fillRect(pen.x, pen.y, 1, 1);
  }
  function dot(x, y, sign = 1) {
    for (let i = -1; i <= 1; i++) for (let j = -1; j <= 1; j++) {
      const [row, column] = [Math.round(y) + i, Math.round(x) + j];
      if (row < 0 || column < 0 || row >= SIDE || column >= SIDE) continue;
      const at = row * SIDE + column;
      ink[at] = Math.min(1, Math.max(0, ink[at] + sign * [1, 0.5, 0.2][Math.abs(i) + Math.abs(j)]));
    }
  }
  function done() { show(); changed(); }
  function place(event) {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * SIDE - 0.5, (event.clientY - box.top) / box.height * SIDE - 0.5];
  }
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    last = place(event);
    dot(...last);
    done();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = place(event), [dx, dy] = [next[0] - last[0], next[1] - last[1]], length = Math.ceil(Math.hypot(dx, dy));
    for (let i = 1; i <= length; i++) dot(last[0] + dx * i / length, last[1] + dy * i / length);
    if (length) { last = next; done(); }
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { last = null; });
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  pad.addEventListener("keydown", (event) => {
    const move = moves[event.key], erase = event.key === "Backspace" || event.key === "Delete";
    if (!move && !erase && event.key !== " ") return;
    event.preventDefault();
    if (move) {
      pen.x = Math.min(SIDE - 1, Math.max(0, pen.x + move[0]));
      pen.y = Math.min(SIDE - 1, Math.max(0, pen.y + move[1]));
    }
    if (!move || event.shiftKey) dot(pen.x, pen.y, erase ? -1 : 1);
    done();
  });
  for (const change of ["focus", "blur"]) pad.addEventListener(change, show);
  clear.addEventListener("click", () => { ink.fill(0); done(); });
  host.append(pad, clear);
  return { start(image) { ink.set(image); show(); }, ink };
}

// A drawing moved by whole pixels so that its centre of mass is in the middle, where MNIST has it.
function centred(ink) {
  const mass = ink.reduce((sum, value) => sum + value, 0) || 1;
  const middle = (of) => Math.round((SIDE - 1) / 2 - ink.reduce((sum, value, i) => sum + value * of(i), 0) / mass);
  const [down, right] = [middle((i) => Math.floor(i / SIDE)), middle((i) => i % SIDE)];
  const moved = new Float32Array(ink.length);
  for (let row = 0; row < SIDE; row++) for (let column = 0; column < SIDE; column++) {
    const [y, x] = [row - down, column - right];
    if (y >= 0 && x >= 0 && y < SIDE && x < SIDE) moved[row * SIDE + column] = ink[y * SIDE + x];
  }
  return moved;
}

// One radio button for each digit, and one for a drawing. Gives the name of the chosen one: a number, or "own".
function gallery(form, digits, { images, labels }) {
  const group = element("fieldset", { class: "playground-digits" }, element("legend", {}, "Digit"));
  const offer = (value, name, inside) => {
    const radio = element("input", { type: "radio", name: "digit", value, "aria-label": name });
    group.append(element("label", {}, radio, inside));
    return radio;
  };
  digits.forEach((image, i) => {
    const small = canvas({ "aria-hidden": "true" });
    paint(small, image, grey);
    const nth = labels.values.slice(0, i).filter((label) => label === labels.values[i]).length + 1;
    offer(i, `${labels.values[i]}, number ${nth}`, small);
  });
  offer("own", "draw your own", element("span", {}, "draw"));
  form.append(group);
  group.querySelector(`input[value='${labels.values.indexOf(7)}']`).checked = true;
  return () => group.querySelector("input:checked").value;
}

// Bars of the softmax: outlined of the image, filled of the attacked one; logarithmic from a hundred-millionth on.
function bars(before, after, colour, logarithmic) {
  const least = -8, height = (p) => logarithmic ? Math.max(least, Math.log10(p)) : p;
  const marks = logarithmic ? [-8, -6, -4, -2, 0].map((power) => [power, power ? `1e\u2212${-power}` : "1"]) : shares;
  const floor = logarithmic ? least : 0, top = logarithmic ? 0 : 1;
  const to = panel("Softmax (outline: image, filled: attacked)", "class", "probability", [0, 10], [floor, top],
    Array.from(before, (_, j) => [j + 0.5, String(j)]), marks);
  const bar = (j, from, p, look) => to.add("rect", {
    x: to.x(j + from), width: to.x(0.38) - to.x(0), y: to.y(height(p)), height: to.y(floor) - to.y(height(p)), ...look,
  });
  before.forEach((p, j) => bar(j, 0.1, p, { class: "normal" }));
  after.forEach((p, j) => bar(j, 0.52, p, { fill: colour, stroke: colour }));
  const told = (values) => Array.from(values, (p, j) => `${j} ${percent(p)}`).join(", ");
  to.picture.setAttribute("aria-label", `Softmax of the image: ${told(before)}. Of the attacked image: ${told(after)}.`);
  return to.picture;
}

const small = (value) => value && Math.abs(value) < 1e-3 ? value.toExponential(1).replaceAll("-", "\u2212") : digits(value);
const ROWS = { confidence: "confidence", non_me: "non-ME", k_density: "log K-density" };

function scoreTable(before, after, about) {
  const verdict = (name, seen) => seen.scores[name] >= about.thresholds[name] ? "accepted" : "rejected";
  const cell = (value, said = "") => element("td", {}, value, ...(said ? [element("span", { class: said }, said)] : []));
  const row = (name, ...cells) => element("tr", {}, element("th", { scope: "row" }, name), ...cells);
  const head = ["image", "attacked", "threshold"].map((name) => element("th", { scope: "col" }, name));
  return element("table", { class: "table" },
    element("caption", {}, "The answer and the detectors' scores"),
    element("thead", {}, element("tr", {}, element("td"), ...head)),
    element("tbody", {},
      row("answer", cell(String(before.answer)), cell(String(after.answer)), cell("")),
      row("spread", cell(small(before.spread)), cell(small(after.spread)), cell("")),
      ...Object.entries(ROWS).map(([name, title]) => row(title,
        ...[before, after].map((seen) => cell(small(seen.scores[name]), verdict(name, seen))),
        cell(small(about.thresholds[name]))))));
}

// One sentence on the attack, one on the detectors.
function summary(before, after, label, about, epsilon, steps) {
  const sure = (seen) => `${seen.answer} (${percent(seen.probabilities[seen.answer])})`;
  const wrong = label !== null && before.answer !== label ? ` The network misreads this ${label} without an attack.` : "";
  const effect = before.answer === after.answer
    ? `the answer stays ${before.answer} (${percent(before.probabilities[before.answer])} before, ` +
      `${percent(after.probabilities[after.answer])} after)`
    : `the answer changes from ${sure(before)} to ${sure(after)}`;
  const says = (name) => after.scores[name] >= about.thresholds[name] ? "accepts" : "rejects";
  return `${about.name}, epsilon ${epsilon}, ${steps} step${steps === 1 ? "" : "s"}: ${effect}.${wrong} ` +
    `At 5% false rejection non-ME ${says("non_me")} the attacked image, K-density ${says("k_density")} it.`;
}

async function playground(host) {
  const test = await loaded("digits"), size = SIDE * SIDE;
  const digit = (_, i) => Float32Array.from(test.images.values.subarray(i * size, (i + 1) * size), (value) => value / 255);
  const every = Array.from(test.labels.values, digit);
  const { form, panels, text } = frame(host);
  const chosen = gallery(form, every, test);
  const own = element("div", { class: "playground-pad", hidden: "" });
  form.append(own);
  const pad = drawingPad(own, () => later());
  const loss = control(form, "Training loss", choice(Object.entries(LOSSES), "ce"));
  const budget = control(form, "Budget epsilon", slider(30, 10));
  const count = control(form, "PGD steps", element("input", { type: "range", min: 1, max: 40, step: 1, value: 20 }));
  const scale = control(form, "Bars", choice([["linear", "linear"], ["log", "logarithmic"]], "linear"));
  const trio = element("div", { class: "playground-images" });
  const show = ["image", "perturbation \u00d7 10", "attacked image"].map((caption) => picture(trio, caption));
  const table = element("div", { class: "playground-scores" });
  const spent = element("p", { class: "playground-time" });
  host.append(form, text, trio, panels, spent);

  async function draw() {
    const wanted = loss.input.value, network = await networkOf(wanted), mine = chosen() === "own";
    if (wanted !== loss.input.value) return; // chosen anew while this one was on its way
    const image = mine ? centred(pad.ink) : every[chosen()];
    const epsilon = budget.input.value / 100, steps = Number(count.input.value);
    const started = performance.now();
    const label = mine ? network.describe(image).answer : test.labels.values[chosen()];
    const attacked = attack(network, image, label, epsilon, steps);
    const before = network.describe(image, label), after = network.describe(attacked, label);
    const milliseconds = performance.now() - started;
    const { about } = network;
    const change = attacked.map((value, i) => Math.min(1, Math.max(-1, 10 * (value - image[i]))));
    show[0](image, grey, `The image: ${mine ? "your drawing" : `a ${label}`}`);
    show[1](change, signed, `The perturbation times 10: orange is brighter, blue is darker, by at most ${epsilon}`);
    show[2](attacked, grey, `The attacked image, which the network reads as ${after.answer}`);
    table.replaceChildren(scoreTable(before, after, about));
    panels.replaceChildren(bars(before.probabilities, after.probabilities, about.colour, scale.input.value === "log"), table);
    text.textContent = summary(before, after, mine ? null : label, about, epsilon, steps);
    spent.textContent = `${about.name} network: ${digits(about.error_percent, 1)}% error on the test images. ` +
      `Attack and scores took ${milliseconds.toFixed(0)} ms in your browser.`;
    say(budget, epsilon.toFixed(2));
    say(count, String(steps));
  }

  let waiting = false, previous = chosen();
  function later() { // one frame for all that happened since the last one
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(async () => { waiting = false; await draw(); });
  }
  form.addEventListener("input", () => {
    if (chosen() === "own" && previous !== "own") pad.start(every[previous]);
    previous = chosen();
    own.hidden = previous !== "own";
    later();
  });
  await draw();
}

for (const host of document.querySelectorAll(".playground"))
  playground(host).then(() => { host.hidden = false; host.previousElementSibling.hidden = true; });
