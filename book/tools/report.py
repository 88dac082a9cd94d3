"""Prints what the built site weighs, asks for and gets wrong; status 1 where something must not be.

The same findings go to ``_build/site-report.json`` and ``_build/site-report.md``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from check_browser import BROWSER, HEAVIEST, SCREEN, SLOWEST, Seen, launched, look, served
from check_files import (
    broken_links,
    chapters,
    hard_to_read,
    letters,
    loads_from_elsewhere,
    page_at,
    reading_ease,
    undescribed,
    without_caption,
)

BUILD = Path(__file__).resolve().parents[2] / "_build"


def report(site: Path) -> dict[str, Any]:
    """Every finding about a built site; ``pages`` is empty where there is no browser."""
    found: dict[str, Any] = {
        "broken links": broken_links(site),
        "figures without alternative text": undescribed(site),
        "loads from another host": loads_from_elsewhere(site),
        "figures without a caption": without_caption(site),
        "figures with letters below 9 px": hard_to_read(site),
    }
    names, seen = chapters(site), []
    words = {name: page_at(site / f"{name}.html").words for name in names}
    ease = {name: round(reading_ease("".join(page_at(site / f"{name}.html").prose)), 1) for name in names}
    smallest = min(letters(site).values(), default=None)
    if BROWSER:
        with served(site) as address, launched() as browser:
            for name in names:
                seen.append(look(browser, address, name))
                print(f"  {name}", file=sys.stderr, flush=True)
    problems = [f"{kind}: {one}" for kind, many in found.items() for one in many]
    problems += [one for page in seen for one in page.problems()]
    measured = {"words": words, "reading ease": ease, "smallest letters, px": smallest}
    return found | {"names": names, "pages": [asdict(page) for page in seen], "problems": problems} | measured


def as_markdown(found: dict[str, Any]) -> str:
    """The report as a table and a list of what is wrong."""
    pages = [Seen(**page) for page in found["pages"]]
    lines = ["# Site report", "", f"{len(found['names'])} pages."]
    if pages:
        lines += [
            "",
            "| page | kB sent | kB unpacked | requests | elsewhere | ready, s | axe, light | axe, dark |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {p.path} | {p.weight / 1000:.0f} | {p.unpacked / 1000:.0f} | {p.requests} | {len(p.outside)} "
            f"| {p.seconds:.2f} | {len(p.axe_light)} | {len(p.axe_dark)} |"
            for p in pages
        ]
        slow = [p.path for p in pages if p.seconds > SLOWEST]
        lines += [
            "",
            f"- heaviest page: {max(p.weight for p in pages) / 1000:.0f} kB sent (at most {HEAVIEST / 1000:.0f})",
            f"- requests to other hosts: {sum(len(p.outside) for p in pages)}",
            f"- pages ready after more than {SLOWEST:g} s from localhost: {', '.join(slow) or 'none'}",
            f"- axe violations: {sum(len(p.axe_light) for p in pages)} light, "
            f"{sum(len(p.axe_dark) for p in pages)} dark",
        ]
        late = [f"{p.path} ({p.verdict:.0f} px)" for p in pages if p.verdict is not None and p.verdict > SCREEN]
        lines += [f"- first verdict or card below a phone's first screen of {SCREEN} px: {', '.join(late) or 'none'}"]
    else:
        lines += ["", "No Chromium or Chrome here (on Debian: apt-get install chromium): only the files were checked."]
    lines += [f"- {kind}: {len(found[kind])}" for kind in list(found)[:5]]
    lines += [f"- smallest letters in a figure: {found['smallest letters, px']:.1f} px"] if found["words"] else []
    lines += [
        "",
        "Words of prose, and Flesch's reading ease (206.835 - 1.015 words per sentence - 84.6 syllables per word;",
        "60 to 70 is plain English, below 30 is hard):",
        "",
        "| page | words | reading ease |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {words} | {found['reading ease'][name]:.0f} |"
        for name, words in found["words"].items()
        if "/api" not in name
    ]
    lines += ["", f"{len(found['problems'])} problems" + (":" if found["problems"] else "."), ""]
    return "\n".join(lines + [f"- {one}" for one in found["problems"]]).rstrip() + "\n"


def main() -> int:
    """Entry point."""
    site = BUILD / "html"
    if not site.is_dir():
        print("report.py: no site in _build/html; make it with 'make book'", file=sys.stderr)
        return 2
    found = report(site)
    text = as_markdown(found)
    (BUILD / "site-report.json").write_text(json.dumps(found, indent=1) + "\n")
    (BUILD / "site-report.md").write_text(text)
    print(text, end="")
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
