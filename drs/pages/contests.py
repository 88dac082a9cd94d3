"""Our strongest attacks beside those of another library: the tables of ``make bench`` that are committed, as prose."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from drs.pages.markdown import table
from drs.paths import benchmarks_root

__all__ = ["contest_page", "contests", "outcome"]

COLUMNS = {
    "name": "network",
    "epsilon": "budget",
    "clean": "clean",
    "ours": "ours",
    "theirs": "theirs",
    "only_ours": "only ours breaks",
    "only_theirs": "only theirs breaks",
    "ratio": "time, ours / theirs",
}
"""Columns of the files, and what the page calls them."""


def contests(kind: Literal["standard", "apgd"]) -> pd.DataFrame:
    """The committed rows of one comparison, one per network and objective; without rows where none is committed.

    The columns ``only_ours`` and ``only_theirs`` hold the numbers of test images, as text.
    """
    texts = {"only_ours": str, "only_theirs": str}
    found = [
        pd.read_csv(path, dtype=texts).fillna({"only_ours": "", "only_theirs": ""})
        for path in sorted(benchmarks_root().glob(f"{kind}-*.csv"))
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*COLUMNS, "reference", "images"])


def outcome(frame: pd.DataFrame) -> str:
    """What a comparison says, with its numbers.

    >>> row = {"ours": 0.1, "theirs": 0.2, "only_ours": "3 17", "only_theirs": "", "ratio": 0.5, "images": 100}
    >>> print(outcome(pd.DataFrame([row])).replace(". ", ".\\n"))
    In 1 of 1 rows ours leaves no more images standing than theirs.
    Over all rows, of 100 images each, only ours breaks 2 and only theirs 0.
    Ours takes 0.50 to 0.50 of their time.
    """
    alone = {side: sum(len(text.split()) for text in frame[f"only_{side}"]) for side in ("ours", "theirs")}
    least, images = int((frame["ours"] <= frame["theirs"]).sum()), " or ".join(map(str, sorted(set(frame["images"]))))
    return (
        f"In {least} of {len(frame)} rows ours leaves no more images standing than theirs. Over all rows, of {images} "
        f"images each, only ours breaks {alone['ours']} and only theirs {alone['theirs']}. "
        f"Ours takes {frame['ratio'].min():.2f} to {frame['ratio'].max():.2f} of their time."
    )


def contest_page() -> str:
    """Both tables, each with its caption and what it says, as Markdown; the device and the commit come with them."""
    captions = {
        "standard": "`Standard` beside AutoAttack: robust accuracy on the same images under the same L-inf budget.",
        "apgd": "`APGD` beside APGD of torchattacks: the same objective, steps and random numbers.",
    }
    parts = []
    for kind, caption in captions.items():
        frame = contests(kind)  # type: ignore[arg-type]  # the keys above
        if len(frame) == 0:
            continue
        shown = frame.assign(**{side: frame[side].replace("", "none") for side in ("only_ours", "only_theirs")})
        shown["name"] += ", " + frame["reference"].str.split().str[-1] if kind == "apgd" else ""
        made = "; ".join(f"{device}, commit {commit}" for device, commit in set(zip(frame["device"], frame["commit"])))
        reference = " and ".join(sorted({" ".join(text.split()[:2]) for text in frame["reference"]}))
        parts += [
            f"**{caption}** Reference: {reference}. Measured on {made}.",
            table(COLUMNS.values(), shown[list(COLUMNS)].to_numpy().tolist()),  # type: ignore[arg-type]
            outcome(frame),
        ]
    return "\n\n".join(parts)
