"""Sets the whole book as one PDF with LaTeX, from the notebooks that ``build.py book`` executed."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path

from build import BUILD, PDF, BuildError, say, stage

from notebooks import Notebook, dump, read, tagged

JUPYTER_BOOK = (sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build")
NEEDED = {
    "latexmk": "latexmk",
    "xelatex": "texlive-xetex texlive-latex-extra texlive-fonts-recommended tex-gyre",
    "rsvg-convert": "librsvg2-bin",
}
"""Commands, and the Debian packages that have them."""
MIRROR = BUILD / "pdf-source"


def as_pdf(svg: bytes) -> bytes:
    """A vector graphic as a PDF of one page, which LaTeX can include."""
    return subprocess.run(["rsvg-convert", "--format=pdf"], input=svg, stdout=subprocess.PIPE, check=True).stdout


def printable(notebook: Notebook) -> Notebook:
    """Vector graphics as PDF, no markup for browsers where there is something else, no cell of parameters."""
    notebook["cells"] = [cell for cell in notebook["cells"] if not tagged(cell, "parameters")]
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/svg+xml" in data:
                graphic = as_pdf("".join(data.pop("image/svg+xml")).encode())
                data["application/pdf"] = base64.b64encode(graphic).decode()
            if {"application/pdf", "text/markdown"} & set(data):
                data.pop("text/html", None)
    return notebook


def configure(mirror: Path) -> None:
    """The configuration of the site, with what LaTeX needs."""
    import yaml

    path = mirror / "_config.yml"
    config = yaml.safe_load(path.read_text())
    config["latex"] = {"latex_engine": "xelatex", "latex_documents": {"targetname": "drs.tex"}}
    config["sphinx"]["local_extensions"]["long_tables"] = "book/_ext"
    sphinx = config["sphinx"]["config"]
    sphinx["extensions"] += ["long_tables", "sphinx_jupyterbook_latex"]
    # The last one's class wants a font from a package of half a gigabyte, for letters that no page uses.
    (mirror / "bbm.sty").write_text("\\newcommand{\\mathbbm}[1]{\\mathbb{#1}}\n")
    sphinx |= {"latex_additional_files": ["bbm.sty"], "latex_use_xindy": False}
    sphinx["latex_elements"] = {"extraclassoptions": "openany,oneside"}
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def without_doors(front: str) -> str:
    """The front page without its links as cards, which only a screen can show."""
    return re.sub(r"## Where to go from here\n.*?\n::::\n", "", front, flags=re.DOTALL)


def prepare(mirror: Path) -> None:
    """Lay out what Sphinx reads, as for the site, and turn what a browser shows into what a page can."""
    stage(sorted((BUILD / "executed" / "quick").glob("*.ipynb")), mirror)
    for path in (mirror / "notebooks").glob("*.ipynb"):
        path.write_text(dump(printable(read(path))), encoding="utf-8")
    for path in (mirror / "book").rglob("*.svg"):
        path.with_suffix(".pdf").write_bytes(as_pdf(path.read_bytes()))
    for path in (mirror / "book").rglob("*.md"):
        path.write_text(re.sub(r"(\{figure\} \S+)\.svg", r"\1.pdf", path.read_text()))
    front = mirror / "book" / "intro.md"
    front.write_text(without_doors(front.read_text()))
    configure(mirror)


def main() -> int:
    """Entry point: an error is one sentence and status 1."""
    missing = [
        f"{command} (on Debian: {packages})" for command, packages in NEEDED.items() if not shutil.which(command)
    ]
    if missing:
        print(f"pdf.py: the PDF needs {'; '.join(missing)}", file=sys.stderr)
        return 1
    try:
        prepare(MIRROR)
    except BuildError as error:
        print(f"pdf.py: {error}", file=sys.stderr)
        return 1
    say("PDF: Sphinx, then LaTeX")
    command = [*JUPYTER_BOOK, str(MIRROR), "--builder", "pdflatex"]
    done = subprocess.run(command, cwd=BUILD, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    (BUILD / "pdf.log").write_text(done.stdout)
    made = MIRROR / "_build" / "latex" / "drs.pdf"
    if done.returncode or not made.exists():
        print("pdf.py: LaTeX failed; what it said is in _build/pdf.log", file=sys.stderr)
        return 1
    shutil.copy(made, PDF)
    say(f"PDF: {PDF}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
