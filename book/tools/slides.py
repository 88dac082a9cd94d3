"""Turns the chapters of each week of the course into one HTML file of slides, from the committed notebooks."""

from __future__ import annotations

import argparse
import base64
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from notebooks import Notebook, read, tagged

__all__ = ["WEEKS", "Slide", "page", "slides_of", "write"]

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "_build" / "slides"
WEEKS = {
    1: ("01_softmax", "07_drs_loss"),
    2: ("02_attacks", "03_honest", "13_stronger_attacks"),
    3: ("04_scores", "10_reverse_training", "12_detection"),
    4: ("03_honest", "14_alarms", "15_white_box"),
}
"""The chapters of each week, as in the plan of book/instructors.md."""
HIDDEN = ("remove-cell", "remove-input", "hide-input", "parameters")
"""Tags of cells whose code a reader does not see at first."""
SVG = "image/svg+xml"
ABOUT = """Writes _build/slides/week1.html to week4.html from the committed notebooks; nothing is executed.
Each file stands alone and needs no network. A heading begins a slide with its first paragraph or list; each
visible code cell with what it printed, and each figure, follows on this slide or on one of its own.
Keys: right, down, space: next; left, up: back; Home, End. Print it for one slide per page.
Formulas are shown as their TeX source, in a typewriter face: MathJax is not part of a slide."""
STYLE = """
@page { size: 1280px 720px; margin: 0 }
* { box-sizing: border-box }
html, body { margin: 0; background: #222 }
section { position: fixed; left: 0; top: 0; width: 1280px; height: 720px; padding: 36px 64px 52px; overflow: hidden;
  background: #fff; color: #1a1a1a; font: 26px/1.35 system-ui, sans-serif; transform-origin: 0 0; visibility: hidden }
section.on { visibility: visible }
h2 { margin: 0 0 .5em; font-size: 38px; line-height: 1.15; color: #123a63 }
p, ul, ol { margin: 0 0 .6em }
pre { margin: 0 0 .5em; padding: .5em .8em; font: .8em/1.22 ui-monospace, monospace; white-space: pre-wrap;
  background: #f3f4f6 }
pre.printed { background: #fff; border-left: 4px solid #123a63 }
code { font: .88em ui-monospace, monospace }
code.tex { color: #6b2a00 }
figure { margin: 0; text-align: center }
figure img { width: 100%; height: 420px; object-fit: contain }
figcaption { font-size: 20px; text-align: left }
footer { position: absolute; left: 64px; right: 64px; bottom: 14px; font-size: 16px; color: #555 }
footer b { float: right; font-weight: normal }
@media print {
  html, body { background: #fff }
  section { position: relative; visibility: visible; transform: none !important; break-after: page }
  section:last-of-type { break-after: auto }
}
"""
SCRIPT = """
const all = [...document.querySelectorAll("section")];
let at = Math.min(Math.max((parseInt(location.hash.slice(1)) || 1) - 1, 0), all.length - 1);
function show(n) {
  at = Math.min(Math.max(n, 0), all.length - 1);
  all.forEach((one, i) => one.classList.toggle("on", i === at));
  history.replaceState(null, "", "#" + (at + 1));
}
function scale() {
  const by = Math.min(innerWidth / 1280, innerHeight / 720);
  all.forEach(one => one.style.transform = `scale(${by})`);
}
for (const one of all) {  // a slide that is too full gets smaller type
  const body = one.querySelector("div"), room = 720 - 52 - body.offsetTop;
  for (let size = 26; size > 12 && body.offsetHeight > room; size--) body.style.fontSize = size - 1 + "px";
}
addEventListener("resize", scale);
addEventListener("keydown", event => {
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, PageDown: at + 1, " ": at + 1, ArrowLeft: at - 1, ArrowUp: at - 1,
    PageUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) { event.preventDefault(); show(to); }
});
scale();
show(at);
"""
MARKDOWN = MarkdownIt("commonmark", {"html": False})
BLOCKS = ("paragraph_open", "bullet_list_open", "ordered_list_open")
MATH = re.compile(r"\$\$(.+?)\$\$(?: *\([\w-]+\))?|\$([^$\n]+?)\$", re.DOTALL)


@dataclass
class Slide:
    """A heading and what is shown below it, as HTML."""

    heading: str
    parts: list[str] = field(default_factory=list)


def inline(text: str) -> str:
    """Markdown as HTML: formulas as TeX source, links and roles as their words, and every tag of the text escaped."""
    formulas: list[str] = []

    def kept(match: re.Match[str]) -> str:
        formulas.append(f'<code class="tex">{escape((match[1] or match[2]).strip())}</code>')
        return f"\x02{len(formulas) - 1}\x03"

    text = MATH.sub(kept, text)
    text = re.sub(r"\{[a-z:]+\}`([^`<]*?)(?:\s*<[^>`]*>)?`", r"\1", text)
    text = re.sub(r"\[\]\(([^)]*)\)", lambda m: Path(m[1]).stem.replace("_", " "), text)
    text = re.sub(r"(?<!!)\[([^\]]+)\]\([^)]*\)", r"\1", text)
    return re.sub("\x02(\\d+)\x03", lambda m: formulas[int(m[1])], MARKDOWN.render(text).strip())


def sections(text: str) -> list[tuple[str, str]]:
    """The headings of a Markdown cell, each with its first paragraph or list; no heading for what comes before one."""
    lines, found = text.splitlines(), [("", "")]
    tokens = MARKDOWN.parse(text)
    for i, token in enumerate(tokens):
        if token.level or token.map is None:
            continue
        source = "\n".join(lines[slice(*token.map)])
        if token.type == "heading_open":
            found.append((tokens[i + 1].content, ""))
        elif token.type in BLOCKS and not re.fullmatch(r"\([\w-]+\)=", source.strip()):
            name, before = found[-1]
            if not before or before.rstrip().endswith(":"):  # what a colon announces belongs to it
                found[-1] = (name, f"{before}\n\n{source}".strip())
    return [one for one in found if one != ("", "")]


def code(cell: Notebook) -> str:
    """A visible cell's source and what it printed."""
    printed = "".join(
        "".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream" and o["name"] == "stdout"
    )
    source = re.sub(r"\n{3,}", "\n\n", "".join(cell["source"]).strip())  # two empty lines take room from the type
    shown = f"<pre>{escape(source)}</pre>"
    return shown + (f'<pre class="printed">{escape(printed.rstrip())}</pre>' if printed.strip() else "")


def figures(cell: Notebook) -> list[str]:
    """The vector graphics of a cell, each as an image inside the page, with text for those who cannot see it."""
    about = cell["metadata"].get("mystnb", {})
    alt, caption = about.get("image", {}).get("alt", ""), about.get("figure", {}).get("caption", "")
    graphics = ["".join(o["data"][SVG]) for o in cell["outputs"] if SVG in o.get("data", {})]
    return [
        f'<figure><img alt="{escape(alt)}" src="data:{SVG};base64,{base64.b64encode(one.encode()).decode()}">'
        f"<figcaption>{inline(caption)}</figcaption></figure>"
        for one in graphics
    ]


def slides_of(notebook: Notebook) -> list[Slide]:
    """The slides of one chapter; a heading with nothing below it makes none."""
    slides: list[Slide] = []
    heading, waiting = "", ""

    def add(part: str) -> None:
        nonlocal waiting
        slides.append(Slide(heading, [waiting, part] if waiting else [part]))
        waiting = ""

    def close() -> None:
        nonlocal waiting
        if waiting:
            slides.append(Slide(heading, [waiting]))
        waiting = ""

    filled = False
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for name, text in sections("".join(cell["source"])):
                if name:
                    close()
                    heading, filled = name, False
                if text and not filled:
                    waiting, filled = inline(text), True
        elif cell["cell_type"] == "code" and not tagged(cell, "remove-cell"):
            if not any(tagged(cell, tag) for tag in HIDDEN):
                add(code(cell))
            for one in figures(cell):
                add(one)
    close()
    return slides


def page(title: str, slides: list[Slide]) -> str:
    """One HTML file that loads nothing from elsewhere."""
    shown = "\n".join(
        f"<section><h2>{inline(one.heading)[3:-4]}</h2><div>{''.join(one.parts)}</div>"
        f"<footer>{escape(title)}<b>{number} / {len(slides)}</b></footer></section>"
        for number, one in enumerate(slides, 1)
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style></head><body>\n{shown}\n<script>{SCRIPT}</script></body></html>\n"
    )


def write(out: Path) -> list[Path]:
    """Writes a file for each week and returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for week, chapters in WEEKS.items():
        slides = [one for name in chapters for one in slides_of(read(ROOT / "notebooks" / f"{name}.ipynb"))]
        paths.append(out / f"week{week}.html")
        paths[-1].write_text(page(f"Week {week}", slides), encoding="utf-8")
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of the files (default: _build/slides)")
    for path in write(parser.parse_args().out):
        print(path)
