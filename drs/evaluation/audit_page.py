"""The page of an audit: one HTML file that asks for nothing else, readable on a phone, in the light and in the dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from drs.evaluation.alarms import CHECKS, KINDS, Alarm

if TYPE_CHECKING:
    from drs.evaluation.audit_report import Audit, Point
    from drs.evaluation.report import Share

__all__ = ["page"]

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #fff; --line: #d0d7de; --good: #1a6b35;
  --bad: #a40e26; --a: #0b5cad; --b: #a8480a; --c: #2a7a3b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b1; --paper: #14181d; --line: #3a424b;
  --good: #6fd08c; --bad: #ff8f8f; --a: #79b8ff; --b: #f0a868; --c: #7fd492; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.headline { font-size: 1.35rem; font-weight: 650; border-left: .4rem solid var(--good); padding-left: .8rem; }
.headline.bad { border-color: var(--bad); }
.soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
td.n, th.n { text-align: right; white-space: nowrap; }
.fired { border: 1px solid var(--bad); border-radius: .4rem; padding: .6rem .8rem; margin: .6rem 0; }
.fired h3 { margin: 0 0 .3rem; font-size: 1rem; color: var(--bad); }
.fired p { margin: .3rem 0; }
figure { margin: 1rem 0; } svg { width: 100%; max-width: 36rem; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
code { font-size: .85em; }
"""
COLOURS = ("--a", "--b", "--c")
DASHES = ("none", "6 4", "2 3")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 480, 260, 44, 40, 12


def page(audit: Audit) -> str:
    """The page as text."""
    title = f"Audit of {audit.model}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _headline(audit),
        _alarms(audit),
        _attacks(audit),
        _curves(audit.curves),
        _left_out(audit.left_out),
        _checks(audit.alarms),
        _made(audit),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _share(share: Share | None) -> str:
    return "" if share is None else f"{share.value:.3f} <span class='soft'>[{share.low:.3f}, {share.high:.3f}]</span>"


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Cells are HTML already; the first of each row is its header. ``numbers``: columns set to the right."""
    kind = [' class="n"' if place in numbers else "" for place in range(len(head))]
    top = "".join(f'<th scope="col"{kind[i]}>{escape(word)}</th>' for i, word in enumerate(head))
    body = "\n".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{kind[i]}>{cell}</td>" for i, cell in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{top}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _headline(audit: Audit) -> str:
    bad = "" if audit.trust == "ok" else " bad"
    said = f"{audit.headline[0].upper()}{audit.headline[1:]}"
    return (
        f'<p class="headline{bad}">{escape(said)}</p>\n'
        f"<p>Clean accuracy {_share(audit.clean)} on {len(audit.labels)} examples. Budget: epsilon "
        f"{audit.epsilon:.6g} in {'L-infinity' if audit.norm == 'linf' else 'L2'}. Intervals are exact, of 95%.</p>"
    )


def _alarms(audit: Audit) -> str:
    fired = audit.fired
    if not fired:
        return f"<h2>Alarms</h2>\n<p>None of the {len(audit.alarms)} checks that were made fired.</p>"
    boxes = [
        f'<section class="fired"><h3>{escape(alarm.name)}</h3>\n<p>{escape(alarm.meaning)} '
        f"Measured {alarm.value:.4g}, limit {alarm.limit:.4g}.</p>\n"
        f"<p><strong>Next step.</strong> {escape(alarm.remedy)}</p>\n"
        f'<p class="soft">{escape(KINDS[alarm.kind])}</p></section>'
        for alarm in fired
    ]
    return f"<h2>Alarms: {len(fired)} of {len(audit.alarms)} fired</h2>\n" + "\n".join(boxes)


def _attacks(audit: Audit) -> str:
    rows = [
        (
            escape(line.name),
            _share(line.accuracy),
            _share(line.worst),
            f"{line.fooled} of {line.attacked}",
            f"{line.seconds:.1f}",
            f"{line.forward:,}",
            f"{line.backward:,}",
        )
        for line in audit.lines
    ]
    head = ("attack", "accuracy alone", "with all before it", "fooled", "seconds", "forward", "backward")
    table = _table("Attacks at the whole budget, in the order they ran", head, rows, (3, 4, 5, 6))
    told = "\n".join(f"<li>{escape(line.name)}: <code>{escape(line.attack)}</code></li>" for line in audit.lines)
    return (
        f"<h2>Attacks</h2>\n{table}\n<p class='soft'>Accuracy alone is empty where an attack saw only the images that "
        "the ones before it had left. Forward and backward passes are counted in images.</p>\n"
        f"<details><summary>Hyperparameters</summary>\n<ul>\n{told}\n</ul></details>"
    )


def _curves(curves: Mapping[str, Sequence[Point]]) -> str:
    over_epsilon = {name.split(", ")[1]: curve for name, curve in curves.items() if name.startswith("epsilon, ")}
    names = {"ce": "PGD on cross-entropy", "margin": "PGD on the margin", "one step": "one step"}
    figures = [_figure("epsilon", {names[name]: curve for name, curve in over_epsilon.items()})]
    figures += [_figure(name, {"PGD on the margin": curve}) for name, curve in curves.items() if "," not in name]
    shown = [figure for figure in figures if figure]
    return "<h2>Curves</h2>\n" + "\n".join(shown) if shown else ""


def _figure(over: str, curves: Mapping[str, Sequence[Point]]) -> str:
    """Curves as a picture with its text alternative, and the numbers below."""
    if not curves:
        return ""
    largest = max(point.at for curve in curves.values() for point in curve)
    smallest = min(point.at for curve in curves.values() for point in curve)
    width = largest - smallest or 1.0

    def place(at: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - 14) * (at - smallest) / width
        return round(x, 1), round(TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value), 1)

    drawn = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = place(smallest, value)[1]
        drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - 14}" y1="{y}" y2="{y}" stroke="var(--line)"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    for at in sorted({smallest, (smallest + largest) / 2, largest}):
        anchor = "end" if at == largest else "middle"
        drawn.append(f'<text x="{place(at, 0)[0]}" y="{HEIGHT - 22}" text-anchor="{anchor}">{at:.3g}</text>')
    drawn.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(over)}</text>')
    for number, curve in enumerate(curves.values()):
        colour, points = f"var({COLOURS[number % 3]})", [place(p.at, p.accuracy.value) for p in curve]
        for point in curve:
            (x, top), (_, bottom) = place(point.at, point.accuracy.high), place(point.at, point.accuracy.low)
            drawn.append(f'<line x1="{x}" x2="{x}" y1="{top}" y2="{bottom}" stroke="{colour}" opacity=".45"/>')
        path = " ".join(f"{x},{y}" for x, y in points)
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[number % 3]}"/>'
        )
        drawn += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in points]
    said = "; ".join(
        f"{name}: " + ", ".join(f"{point.accuracy.value:.3f} at {point.at:.4g}" for point in curve)
        for name, curve in curves.items()
    )
    keys = " ".join(
        f'<span style="color: var({COLOURS[number % 3]})">{("━", "╍", "┅")[number % 3]}</span> {escape(name)}'
        for number, name in enumerate(curves)
    )
    rows = [
        (escape(name), f"{point.at:.4g}", _share(point.accuracy)) for name, curve in curves.items() for point in curve
    ]
    numbers = _table(f"Accuracy over {over}", ("attack", over, "accuracy"), rows, (1,))
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"Accuracy over {over}. {said}")}">{"".join(drawn)}</svg>\n'
        f"<figcaption>Accuracy over {escape(over)}, with intervals. {keys}</figcaption>\n"
        f"<details><summary>Numbers</summary>{numbers}</details></figure>"
    )


def _left_out(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return ""
    rows = [(escape(name), escape(reason)) for name, reason in left_out.items()]
    return "<h2>Left out</h2>\n" + _table("What was not run, and why", ("what", "why"), rows)


def _checks(found: Sequence[Alarm]) -> str:
    by_name = {alarm.name: alarm for alarm in found}
    rows = []
    for check in CHECKS:
        alarm = by_name.get(check.name)
        result = (
            ("not measured", "", "")
            if alarm is None
            else (
                "<strong>fired</strong>" if alarm.fired else "quiet",
                f"{alarm.value:.4g}",
                f"{alarm.limit:.4g}",
            )
        )
        rows.append((escape(check.name), *result, escape(check.meaning)))
    table = _table("Every check", ("check", "result", "value", "limit", "what it means if it fires"), rows, (2, 3))
    return f"<h2>Checks</h2>\n<details><summary>All {len(CHECKS)} checks</summary>{table}</details>"


def _made(audit: Audit) -> str:
    versions = ", ".join(f"{escape(name)} {escape(text)}" for name, text in audit.versions.items())
    return (
        f"<h2>How it was made</h2>\n<p>{audit.seconds:.1f} s of {audit.minutes:g} minutes, {audit.forward:,} forward "
        f"and {audit.backward:,} backward passes of single images, seed {audit.seed}. {versions}.</p>\n"
        "<p class='soft'>No attack proves robustness: each accuracy here is an upper bound. The record beside this "
        "page, audit.json, says of each image what fooled it.</p>"
    )
