// What if the threshold of a rule were another: a slider for each claim whose rule has one, from the data of claims.json,
// which whatif_claims.js holds. Uses the parts of explorer.js. It gives no verdict, and says so.
"use strict";

const SIDES = {
  holds: { sign: "\u2b1f", text: "on the claim\u2019s side", colour: "#0b6b75" },
  open: { sign: "\u25a0", text: "open: the interval straddles it", colour: "#5b6472" },
  fails: { sign: "\u271a", text: "on the other side", colour: "#8e2157" },
};
const STEPS = 50;

// On which side of a threshold an interval lies; a number without an interval is one of no width.
function sideOf({ estimate, low, high }, limit, upwards) {
  const [least, most] = [low ?? estimate, high ?? estimate];
  if (least <= limit && most >= limit && least < most) return "open";
  return (upwards ? least > limit || (least === most && least === limit) : most < limit || (least === most && most === limit))
    ? "holds" : "fails";
}

function whatIf(cell, claim) {
  const [above, below] = claim.threshold, upwards = above !== null, rule = upwards ? above : below;
  const ends = [claim.low, claim.high, claim.estimate].filter((value) => value !== null);
  const reach = 1.25 * Math.max(...ends.map((value) => Math.abs(value - rule))) || Math.abs(rule) || 1;
  const words = upwards ? "above" : "below";
  const input = element("input", { type: "range", min: -STEPS, max: STEPS, step: 1, value: 0, id: `whatif-${++count}` });
  const label = element("label", { for: input.id }, `Claim ${claim.id} (${claim.profile}): threshold`);
  const badge = element("span", { class: "verdict" }), text = element("span");
  const said = element("p", { role: "status" }, badge, text);
  const form = element("form", { class: "explorer-control" }, label, input, said);
  const box = element("details", { class: "what-if" }, element("summary", {}, "What if the threshold were another?"), form);

  function draw() {
    const limit = Number(input.value) === 0 ? rule : rule + Number(input.value) / STEPS * reach;
    const side = SIDES[sideOf(claim, limit, upwards)];
    const shown = claim.low === null ? short(claim.estimate)
      : `${short(claim.estimate)} [${short(claim.low)}, ${short(claim.high)}]`;
    badge.textContent = `${side.sign} ${side.text}`;
    badge.style.background = side.colour;
    text.textContent = ` What if, not a verdict: ${shown} with the threshold \u201c${words} ${short(limit)}\u201d` +
      (limit === rule ? ", which is the rule\u2019s own." : `; the rule\u2019s own is ${short(rule)}.`);
    input.setAttribute("aria-valuetext", `${short(limit)}: ${side.text}`);
    box.dataset.side = side.text;
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", draw);
  draw();
  cell.append(box);
}

const rows = new Map(); // those of one claim, in the order of the data
for (const row of document.querySelectorAll(".claims tbody tr")) {
  const id = row.querySelector("td a")?.textContent;
  rows.set(id, [...(rows.get(id) ?? []), row]);
}
for (const claim of CLAIMS) {
  const row = rows.get(claim.id)?.shift();
  const single = claim.threshold && claim.threshold.includes(null) && claim.estimate !== null;
  if (row && single) whatIf(row.cells[2], claim);
}
