"""Figures and tables of the chapter on the alarms, drawn from frames of records."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each
from drs.study.metrics import alarm_word, columns

__all__ = ["heard", "matrix", "misses"]


def heard(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """On which share of its seeds each alarm fired on each subject: one row per subject and alarm.

    >>> frame = pd.DataFrame({"subject": ["noise", "noise"], "alarm.labels_change": [1.0, 0.0]})
    >>> heard(frame, ("labels change", "randomised")).to_dict("records")
    [{'subject': 'noise', 'alarm': 'labels change', 'share': 0.5}]

    Args:
        frame: Records of the experiment ``zoo``.
        names: Alarms, in the order of the columns; one that no subject was tested for is left out.
    """
    words = {alarm_word(name): name for name in names}
    known = {words[m.attack]: column for column, m in columns(frame, "alarm").items() if m.attack in words}
    return pd.DataFrame(
        [
            {"subject": subject, "alarm": name, "share": float(rows[known[name]].mean())}
            for subject, rows in each(frame, "subject")
            for name in names
            if name in known and rows[known[name]].notna().any()
        ]
    )


def matrix(frame: pd.DataFrame, names: tuple[str, ...], named: Mapping[str, tuple[str, ...]]) -> Figured:
    """A row for each subject, a column for each alarm.

    A filled square says that the alarm fired: the larger, the more seeds. A frame says that it names the cause.

    Args:
        frame: Records of the experiment ``zoo``, networks or attacks.
        names: Alarms, in the order of the columns.
        named: The alarms that name the cause, by subject.
    """
    drawn = heard(frame, names)
    subjects = list(dict.fromkeys(drawn["subject"]))
    shown = set(drawn["alarm"]).union(*(named.get(subject, ()) for subject in subjects))
    alarms = [name for name in names if name in shown]
    figure = Figure(figsize=(0.34 * len(alarms) + 2.6, 0.3 * len(subjects) + 2.0), layout="constrained")
    axes = figure.subplots()
    for _, row in drawn.iterrows():
        x, y = alarms.index(row["alarm"]), subjects.index(row["subject"])
        if row["share"] > 0:
            axes.scatter([x], [y], s=120 * row["share"], marker="s", color=style.COLOURS["drs"], linewidths=0)
    for y, subject in enumerate(subjects):
        for name in named.get(subject, ()):
            axes.scatter([alarms.index(name)], [y], s=170, marker="s", facecolors="none", edgecolors="#444444")
    axes.set_xticks(range(len(alarms)), alarms, rotation=60, ha="right", fontsize=10)
    axes.set_yticks(range(len(subjects)), subjects, fontsize=10)
    axes.set_xlim(-0.6, len(alarms) - 0.4)
    axes.set_ylim(len(subjects) - 0.4, -0.6)
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("subject",), series=("alarm",), values=("share",))


def misses(frame: pd.DataFrame, names: tuple[str, ...], named: Mapping[str, tuple[str, ...]]) -> str:
    """A sentence: how many broken subjects raise every alarm that names their cause at every seed, and which do not.

    >>> frame = pd.DataFrame({"subject": ["noise", "noise"], "alarm.labels_change": [1.0, 0.0]})
    >>> misses(frame, ("labels change",), {"noise": ("labels change",)}).split("The rest: ")[1]
    'noise (labels change at 50% of the seeds).'

    Args:
        frame: Records of the experiment ``zoo``, networks or attacks.
        names: Alarms.
        named: The alarms that name the cause, by subject; a subject without any is not counted.
    """
    drawn = heard(frame, names)
    found = {(row["subject"], row["alarm"]): row["share"] for row in drawn.to_dict("records")}
    broken = [subject for subject in dict.fromkeys(drawn["subject"]) if named.get(subject)]
    late = {
        subject: [
            f"{name} at {found.get((subject, name), 0.0):.0%} of the seeds"
            for name in named[subject]
            if found.get((subject, name), 0.0) < 1.0
        ]
        for subject in broken
    }
    rest = "; ".join(f"{subject} ({', '.join(words)})" for subject, words in late.items() if words)
    whole = sum(not words for words in late.values())
    told = (
        f"In the figure {whole} of {len(broken)} broken subjects raise every alarm that names their cause, "
        "at every seed."
    )
    return f"{told} The rest: {rest}." if rest else told
