// A formula that is wider than a phone gets several lines: broken between its parts, then before a relation, then before
// a sign. What is still too wide is set a little smaller; only then it scrolls.
const PLACES = [/\\qquad|\\quad(?=\s*\\text)/y, /=|\\(?:approx|leq?|geq?|propto)(?![a-z])/y, /[+-]/y];
const OPENING = /\\begin\{\w+\}|\\left(?![a-z])|[{(\[]/y, CLOSING = /\\end\{\w+\}|\\right(?![a-z])|[})\]]/y;
const SKIPPED = /\\(?:[a-z]*[lr]|begin|end|left|right)?[|.]|\\[^a-z{}]|\\[{}]/y;
const SMALLEST_FORMULA = 0.72;

// The lines of a formula in TeX, broken at every place up to a level; one line where there is no such place.
function linesOf(tex, level) {
  const lines = [""];
  let depth = 0, relations = 0;
  for (let at = 0; at < tex.length;) {
    const here = (pattern) => { pattern.lastIndex = at; return pattern.exec(tex)?.[0]; };
    const begin = here(OPENING), end = here(CLOSING), skipped = here(SKIPPED);
    const kind = depth || skipped ? -1 : PLACES.findIndex((pattern) => here(pattern));
    const command = here(/\\[a-zA-Z]+/y);
    const token = skipped ?? begin ?? end ?? (kind >= 0 ? here(PLACES[kind]) : command ?? tex[at]);
    if (begin && !skipped) depth++;
    if (end && !skipped) depth--;
    const begun = lines.at(-1).trim();
    if (kind === 0) {
      if (level >= 0) { lines.push(""); relations = 0; } else lines[lines.length - 1] += token;
    } else {
      const first = kind === 1 && relations++ === 0;
      const unary = kind === 2 && /(^|[=,(]|\\(approx|leq?|geq?|quad)|\\(sum|prod)(_(\w|\{.*\}))?(\^(\w|\{.*\}))?)$/.test(begun);
      if (kind > 0 && kind <= level && !first && !unary) lines.push(`\\quad ${token}`);
      else lines[lines.length - 1] += token;
    }
    at += token.length;
  }
  return lines.map((line) => line.trim()).filter(Boolean);
}

// Words in a formula broken where a line of them is long.
const wrapped = (tex) => tex.replace(/\\text\{([^{}$]{30,}?)\s+([^{}$]*)\}/g, "\\text{$1 } \\\\ & \\quad \\text{$2}");

function fitFormulas() {
  for (const item of window.MathJax?.startup?.document?.math ?? []) {
    if (!item.display || !item.typesetRoot) continue;
    const width = () => item.typesetRoot.scrollWidth;
    const wide = () => width() > item.typesetRoot.clientWidth + 1;
    const set = (tex) => { item.math = tex; item.rerender(MathJax.startup.document, 20); }; // from the TeX on
    const whole = item.math.trim().replace(/^\\begin\{split\}([^]*)\\end\{split\}$/, "$1");
    for (let level = 0; level <= PLACES.length && wide(); level++) {
      const [before, tex] = [width(), item.math];
      const lines = linesOf(whole, level).map((line) => level < PLACES.length ? line : wrapped(line));
      set(`\\begin{aligned}${lines.map((line) => `& ${line}`).join(" \\\\ ")}\\end{aligned}`);
      if (width() > before - 2) set(tex); // no narrower: as it was
    }
    if (!wide()) continue;
    const scale = Math.max(SMALLEST_FORMULA, item.typesetRoot.clientWidth / width() - 0.01);
    item.typesetRoot.style.fontSize = `${scale * parseFloat(getComputedStyle(item.typesetRoot).fontSize)}px`;
  }
}

// A table that goes on beyond its box fades at that edge.
function markBox(box) {
  box.classList.toggle("goes-on", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
}

// What scrolls is reachable by keyboard. The theme sees to tables and code when the page loads; here are formulas, and
// what a fold shows when it opens.
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  fitFormulas();
  const reach = () => {
    for (const box of document.querySelectorAll("div.math, mjx-container[display]"))
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    for (const box of document.querySelectorAll(".pst-scrollable-table-container:has(> table)")) markBox(box);
  };
  addEventListener("resize", reach);
  document.addEventListener("scroll", ({ target }) => {
    if (target.matches?.(".pst-scrollable-table-container")) markBox(target);
  }, { capture: true, passive: true });
  reach();
});
document.addEventListener("toggle", () => dispatchEvent(new Event("resize")), true);
