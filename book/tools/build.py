"""Executes the notebooks and builds the site from them; ``python book/tools/build.py --help`` lists the commands.

Every result is kept beside a hash of everything it was made from, so that a second build with nothing changed does
nothing. Notebooks are hashed by their sources, not by their outputs.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import distribution
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from figures import behind_figures, without_figure_data, write_figures

from drs.study.profiles import DEFAULT, PROFILES
from notebooks import differences, dump, normalise, read, sources, tagged, with_kernel

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(__file__).resolve().parent
BUILD = ROOT / "_build"
HTML = BUILD / "html"
PDF = BUILD / "drs.pdf"
"""The whole book as one file, where ``pdf.py`` has made it."""
PDF_PLACE, PDF_ROW = "<!-- pdf -->", '| the book as PDF | <a href="../drs.pdf">drs.pdf</a> |'
PLAYGROUND = ROOT / "data" / "playground"
NOT_INPUTS = {"__pycache__", ".ipynb_checkpoints", "smoke"}
"""Folders whose content no page is made from (records of smoke runs among them)."""
MATHJAX = ("startup.js", "core.js", *(f"{n}.js" for n in ("input/tex", "output/chtml", "output/chtml/fonts/tex")))
MATHJAX += ("a11y/assistive-mml.js",)
"""The parts that pages need, two thirds of the bundle; ``mathjax3_config`` in _config.yml loads them."""
PROBLEM = re.compile("WARNING|ERROR|CRITICAL|Error:")


class BuildError(Exception):
    """Something to mend, in one sentence (a traceback of the notebook may follow it)."""


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def found(*roots: Path) -> list[Path]:
    """Every file in these files and folders, in a fixed order."""
    files = []
    for root in roots:
        inside = [root] if root.is_file() else [path for path in root.rglob("*") if path.is_file()]
        files += [path for path in inside if not NOT_INPUTS & set(path.relative_to(root).parts)]
    return sorted(path for path in files if path.suffix != ".tmp")


def digest(files: Iterable[Path], *more: str) -> str:
    """SHA-256 over the names and contents of files and over further texts."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    total.update(json.dumps(more).encode())
    return total.hexdigest()


def source_notebooks() -> list[Path]:
    """The chapters, in the order of their numbers."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def without_grammars() -> None:
    """Let jsonschema, which nbformat imports, skip the 38 grammars of web addresses that it would build first."""
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]


def run_notebook(source: Path, target: Path, parameters: dict[str, Any]) -> float:
    """Execute one notebook in a kernel of its own, hide the injected parameters; returns the seconds it took."""
    import papermill

    started = time.monotonic()
    partial = target.parent / "partial" / target.name
    partial.parent.mkdir(exist_ok=True)
    partial.write_text(dump(with_kernel(read(source))), encoding="utf-8")
    quiet = ["--log-level=CRITICAL"]  # of the kernel, not of the notebook
    try:
        papermill.execute_notebook(
            partial, partial, parameters, cwd=source.parent, progress_bar=False, extra_arguments=quiet
        )
    except Exception as error:  # whatever a cell or a kernel may end with
        raise BuildError(f"notebooks/{source.name} failed: {type(error).__name__}: {error}") from None
    notebook = read(partial)
    for cell in notebook["cells"]:
        if tagged(cell, "injected-parameters"):
            cell["metadata"]["tags"].append("remove-cell")
    target.write_text(dump(notebook), encoding="utf-8")
    partial.unlink()
    return time.monotonic() - started


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    """Refuse parameters that the notebook's cell tagged ``parameters`` does not define: papermill would only warn."""
    lines = [line for cell in read(notebook)["cells"] if tagged(cell, "parameters") for line in cell["source"]]
    defined = [statement.targets for statement in ast.parse("".join(lines)).body if isinstance(statement, ast.Assign)]
    known = sorted(ast.unparse(target) for targets in defined for target in targets)
    for name in parameters:
        if name not in known:
            raise BuildError(f"notebooks/{notebook.name}: expected one of the parameters {known}, got {name!r}")


def execute(target: Path, parameters: dict[str, Any], jobs: int) -> list[Path]:
    """Execute every notebook whose sources, library or records have changed; returns the executed ones."""
    notebooks = source_notebooks()
    if not notebooks:
        raise BuildError(f"expected notebooks in {ROOT / 'notebooks'}, found none")
    results = Path(os.environ.get("DRS_RESULTS") or ROOT / "data" / "results")
    data = [ROOT / "data" / name for name in ("published", "benchmarks", "rules")]
    shared = digest(found(ROOT / "drs", *data, results, ROOT / "requirements.lock"))
    keys = {n: digest([Path(__file__)], shared, sources(normalise(read(n))), json.dumps(parameters)) for n in notebooks}
    say(f"notebooks: {len(notebooks)}, {' '.join(f'{k}={v}' for k, v in parameters.items())}, {jobs} at a time")
    target.mkdir(parents=True, exist_ok=True)
    stamps = {n: target / f"{n.stem}.json" for n in notebooks}
    waiting = []
    for notebook in notebooks:
        stamp = json.loads(stamps[notebook].read_text()) if stamps[notebook].exists() else {}
        if stamp.get("key") == keys[notebook] and (target / notebook.name).exists():
            say(f"  {notebook.name:<40}{stamp['seconds']:>8.1f} s  (unchanged, not run again)")
        else:
            stamps[notebook].unlink(missing_ok=True)
            waiting.append(notebook)
    waiting.sort(key=lambda notebook: -notebook.stat().st_size)  # what shows most takes longest: it starts first
    for notebook in waiting:
        check_parameters(notebook, parameters)
    for stale in {path.name for path in target.glob("*.ipynb")} - {notebook.name for notebook in notebooks}:
        (target / stale).unlink()
    with ProcessPoolExecutor(jobs, get_context("spawn"), without_grammars) as pool:
        futures = {pool.submit(run_notebook, n, target / n.name, parameters): n for n in waiting}
        try:
            for future in as_completed(futures):
                notebook, seconds = futures[future], future.result()
                stamps[notebook].write_text(json.dumps({"key": keys[notebook], "seconds": seconds}))
                say(f"  {notebook.name:<40}{seconds:>8.1f} s")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [target / notebook.name for notebook in notebooks]


def check(executed: Sequence[Path]) -> None:
    """Compare the outputs of executed notebooks with the committed ones."""
    problems = []
    for path in executed:
        lines = differences(read(ROOT / "notebooks" / path.name), normalise(read(path)))
        problems += [f"notebooks/{path.name}: {line}" for line in lines]
    if problems:
        raise BuildError("\n".join([*problems, "run 'make notebooks' and look at what changed"]))
    say("every committed output is what its notebook gives now")


def refresh(executed: Sequence[Path]) -> None:
    """Write the committed notebooks anew where they changed."""
    for path in executed:
        text, source = dump(normalise(read(path))), ROOT / "notebooks" / path.name
        if text != source.read_text(encoding="utf-8"):
            source.write_text(text, encoding="utf-8")
            say(f"wrote notebooks/{path.name}")


def pages() -> set[str]:
    """The pages that the table of contents promises, without suffix."""
    import yaml

    def walk(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*(walk(item) for item in node))
        if not isinstance(node, dict):
            return set()
        own = {str(node[key]) for key in ("root", "file") if key in node}
        return own.union(*(walk(value) for value in node.values()))

    return walk(yaml.safe_load((ROOT / "_toc.yml").read_text()))


def stage(executed: Sequence[Path], mirror: Path) -> None:
    """Lay out what Sphinx reads: a mirror of the repository with the executed notebooks, and MathJax to serve."""
    shutil.rmtree(mirror, ignore_errors=True)
    shutil.copytree(
        ROOT / "book", mirror / "book", ignore=shutil.ignore_patterns("__pycache__", "_static", "_explorer", "tools")
    )
    shutil.copytree(ROOT / "book" / "_static", mirror / "_static")
    shutil.copytree(ROOT / "book" / "tools" / "_ext", mirror / "book" / "tools" / "_ext")
    (mirror / "notebooks").mkdir()
    for path in (ROOT / "_config.yml", ROOT / "_toc.yml"):
        shutil.copy(path, mirror)
    for path in executed:
        (mirror / "notebooks" / path.name).write_text(dump(without_figure_data(read(path))), encoding="utf-8")
    write_figures(behind_figures(executed, ROOT / "book" / "_generated"), mirror)
    shutil.copytree(ROOT / "book" / "_explorer", mirror / "_extra" / "_static" / "explorer")
    shutil.copy(ROOT / "book" / "_generated" / "claims.json", mirror / "_extra")
    offer_pdf(PDF, mirror)
    write_data_scripts(mirror / "_extra" / "_static" / "explorer")
    package = "sphinx-mathjax-offline"
    mathjax = Path(str(distribution(package).locate_file(f"{package}/static/mathjax")))
    vendored = mirror / "_extra" / "_static" / "mathjax"
    for part in ("input/tex/extensions", "output/chtml/fonts/woff-v2"):
        shutil.copytree(mathjax / part, vendored / part)
    for part in MATHJAX:
        (vendored / part).parent.mkdir(exist_ok=True)
        shutil.copy(mathjax / part, vendored / part)


def offer_pdf(pdf: Path, mirror: Path) -> None:
    """Put the PDF on the site and a link to it on the page ``cite``; where there is none, say nothing of it."""
    page = mirror / "book" / "cite.md"
    if pdf.is_file():
        (mirror / "_extra").mkdir(exist_ok=True)
        shutil.copy(pdf, mirror / "_extra" / "drs.pdf")
    row = PDF_ROW if pdf.is_file() else ""
    page.write_text(page.read_text(encoding="utf-8").replace(PDF_PLACE, row), encoding="utf-8")


def write_data_scripts(folder: Path) -> None:
    """Write the data of ``playground`` and ``claims`` as scripts: a page opened from a folder may not fetch files."""
    claims = (ROOT / "book" / "_generated" / "claims.json").read_text(encoding="utf-8")
    (folder / "whatif_claims.js").write_text(f"const CLAIMS = {claims.strip()};\n", encoding="utf-8")
    for path in sorted(PLAYGROUND.glob("*.safetensors")):
        text = base64.b64encode(path.read_bytes()).decode()
        (folder / f"{path.stem}.js").write_text(f'received("{path.stem}", "{text}");\n', encoding="utf-8")


def site(executed: Sequence[Path], jobs: int) -> None:
    """Build the static site with every warning an error, and check that its pages are those of ``_toc.yml``."""
    stamp = BUILD / "html.key"
    settings = (ROOT / name for name in ("_config.yml", "_toc.yml"))
    inputs = found(ROOT / "book", ROOT / "drs", PLAYGROUND, *executed, *settings, *([PDF] if PDF.exists() else []))
    key = digest(inputs, (ROOT / "requirements.lock").read_text())
    if not (stamp.exists() and stamp.read_text() == key and HTML.exists()):
        started = time.monotonic()
        stamp.unlink(missing_ok=True)
        say(f"site: {len(pages())} pages, with every warning an error")
        stage(executed, BUILD / "site")
        command = [sys.executable, str(TOOLS / "sphinx_book.py"), str(BUILD / "site"), "html", str(jobs)]
        done = subprocess.run(command, cwd=BUILD, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        (BUILD / "site.log").write_text(log)
        built = BUILD / "site" / "_build" / "html"
        if done.returncode:
            lines = log.splitlines()
            shown = "\n".join(list(dict.fromkeys(line for line in lines if PROBLEM.search(line)))[:30] or lines[-30:])
            raise BuildError(f"the site has warnings or errors (all of them in _build/site.log):\n{shown}")
        check_pages(built)
        shutil.rmtree(HTML, ignore_errors=True)
        built.rename(HTML)
        stamp.write_text(key)
        say(f"  built in {time.monotonic() - started:.1f} s")
    say(f"site: {HTML / 'index.html'}")


def check_pages(html: Path) -> None:
    """Refuse a site whose pages are not exactly those of the table of contents: Sphinx leaves out what is missing."""
    files = [path for top in ("book", "notebooks") for path in html.glob(f"{top}/**/*.html")]
    made = {str(path.relative_to(html).with_suffix("")) for path in files}
    if made != pages():
        raise BuildError(f"missing pages: {sorted(pages() - made)}, pages not in _toc.yml: {sorted(made - pages())}")


def smoke(jobs: int) -> None:
    """Execute every notebook from scratch under the smoke profile: no record, no checkpoint, nothing kept."""
    folder = BUILD / "smoke"
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["DRS_RESULTS"], os.environ["DRS_CHECKPOINTS"] = str(folder / "results"), str(folder / "checkpoints")
    started = time.monotonic()
    execute(folder / "notebooks", {"profile": "smoke"}, jobs)
    say(f"every notebook ran from scratch in {time.monotonic() - started:.1f} s")


def pairs(texts: Iterable[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as a dictionary; a value is read as YAML, so that 3 is a number."""
    import yaml

    for text in texts:
        if "=" not in text:
            raise BuildError(f"expected a parameter as NAME=VALUE, got {text!r}")
    return {name: yaml.safe_load(value) for name, value in (text.split("=", 1) for text in texts)}


def main() -> int:
    """Entry point: an error is one sentence and status 1."""
    commands = {
        "execute": "execute every notebook into _build/executed",
        "site": "build the site from what was executed",
        "book": "execute, then site",
        "notebooks": "execute, then refresh the committed notebooks",
        "check": "execute, then compare with the committed notebooks",
        "smoke": "execute every notebook from scratch under the smoke profile",
    }
    parser = argparse.ArgumentParser(description="Execute the notebooks and build the site.")
    parser.add_argument("command", choices=commands, help="; ".join(f"{k}: {v}" for k, v in commands.items()))
    parser.add_argument(
        "--profile", choices=PROFILES, default=DEFAULT, help=f"of execute and book (default: {DEFAULT})"
    )
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="one more parameter"
    )
    parser.add_argument(
        "--jobs", type=int, default=min(2, os.cpu_count() or 1), help="notebooks at a time (default: 2)"
    )
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // max(1, given.jobs))))
    os.environ.setdefault("PYTHONHASHSEED", "0")
    BUILD.mkdir(exist_ok=True)
    from filelock import FileLock

    try:
        with FileLock(BUILD / ".lock"):
            executed = BUILD / "executed" / (DEFAULT if given.command in ("notebooks", "check") else given.profile)
            if given.command == "smoke":
                smoke(given.jobs)
            elif given.command == "site":
                site(sorted(executed.glob("*.ipynb")), given.jobs)
            else:
                notebooks = execute(executed, {"profile": executed.name, **pairs(given.parameter)}, given.jobs)
                if given.command == "book":
                    site(notebooks, given.jobs)
                elif given.command != "execute":
                    {"notebooks": refresh, "check": check}[given.command](notebooks)
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
