"""What each chapter teaches, which chapters to read first, and how long it takes; :func:`overview` says it in a line.

The aims are typed here, in one table. The times are counted on the chapter's own text.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from drs.errors import pick
from drs.paths import project_root

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = ["AIMS", "EXERCISE", "SPEED", "Aims", "Length", "length", "overview", "overview_line"]

SPEED = 200
"""Words that a reader of a text with formulas reads in a minute."""
EXERCISE = 5
"""Minutes for an exercise."""


class Aims(NamedTuple):
    """What a reader can do after a chapter, two or three phrases that follow "You learn"; and the chapters to read
    first."""

    learn: tuple[str, ...]
    first: tuple[str, ...] = ()


class Length(NamedTuple):
    """Words of prose and exercises of a chapter."""

    words: int
    exercises: int

    @property
    def minutes(self) -> int:
        """To read the prose, rounded up."""
        return math.ceil(self.words / SPEED)


AIMS = {
    "01_softmax": Aims(
        (
            "how logits become probabilities",
            "what cross-entropy does to each false class",
            "why it leaves their split open",
        ),
    ),
    "02_attacks": Aims(
        (
            "to compute the gradient in the image",
            "why a step along its sign is the best one",
            "to write PGD in ten lines",
        ),
        ("01_softmax",),
    ),
    "03_honest": Aims(
        (
            "why accuracy under an attack is an upper bound",
            "how defences came to look strong",
            "which signs show a lost attack",
        ),
        ("02_attacks",),
    ),
    "04_scores": Aims(
        (
            "to draw an ROC curve by hand and compute its area",
            "to choose a threshold on validation images",
            "three scores of a detector",
        ),
        ("02_attacks",),
    ),
    "05_anatomy": Aims(
        (
            "to measure the spread of the false classes",
            "what an attack does to it",
            "to tell a sign of success from its cause",
        ),
        ("01_softmax", "02_attacks"),
    ),
    "06_correlation": Aims(
        (
            "to look within groups before believing one line through all",
            "to read a matrix of correlations with its correction",
        ),
        ("05_anatomy",),
    ),
    "07_drs_loss": Aims(
        (
            "to write the DRS loss in six lines",
            "to compare it with tuned controls over the whole curve",
            "what its weight means",
        ),
        ("02_attacks", "05_anatomy"),
    ),
    "08_cost": Aims(
        (
            "to time two things fairly in one process",
            "how the cost of a loss shows in a training step",
        ),
        ("07_drs_loss",),
    ),
    "09_why": Aims(
        (
            "to divide a lead by its slope",
            "to tell a change of scale from a gain",
            "to ask on which architectures a gain holds",
        ),
        ("07_drs_loss",),
    ),
    "10_reverse_training": Aims(
        (
            "to train on reversed labels",
            "why the false classes then come out nearly equal",
            "to compare losses after both have finished",
        ),
        ("01_softmax",),
    ),
    "11_robustness": Aims(
        (
            "what equal false logits give and do not give against an attack",
            "to read minimal distortions next to accuracies",
        ),
        ("02_attacks", "10_reverse_training"),
    ),
    "12_detection": Aims(
        (
            "to build and judge the thresholding test",
            "why AUC and threshold answer different questions",
            "which share of attacks counts",
        ),
        ("04_scores", "10_reverse_training"),
    ),
    "13_stronger_attacks": Aims(
        (
            "how a gradient comes to be masked",
            "three cheap controls against it",
            "to take the worst case over several attacks",
        ),
        ("03_honest", "07_drs_loss"),
    ),
    "14_alarms": Aims(
        (
            "to measure both rates of an alarm: faults found, false alarms",
            "why silence of the alarms is no proof",
        ),
        ("03_honest", "13_stronger_attacks"),
    ),
    "15_white_box": Aims(
        (
            "to write an attack on a network and its detector together",
            "to judge a detector by what is fooled and accepted",
        ),
        ("12_detection",),
    ),
    "16_black_box": Aims(
        (
            "when an example made on one network fools another",
            "to compare the input gradients of two networks",
        ),
        ("02_attacks", "12_detection"),
    ),
    "17_one_family": Aims(
        (
            "what the losses of the two papers share and where they differ",
            "to test every pair of a loss and a detector",
        ),
        ("07_drs_loss", "12_detection"),
    ),
    "18_max_mahalanobis": Aims(
        (
            "to train towards fixed centres",
            "to see when cross-entropy makes an attack blind",
            "to aim an attack at what decides the label",
        ),
        ("13_stronger_attacks",),
    ),
    "19_sequences": Aims(
        (
            "how restraint carries over to sentences",
            "to compare a loss over the batch with one over the classes",
        ),
        ("07_drs_loss",),
    ),
    "20_density_softmax": Aims(
        (
            "to measure calibration under a shift of the data",
            "to tell a density from a constant temperature",
        ),
        ("04_scores",),
    ),
    "21_self_restrained": Aims(
        (
            "how a loss can switch one of its parts off",
            "to test recognition on identities that training did not see",
        ),
        ("07_drs_loss",),
    ),
}
"""The aims of every chapter, by the name of its notebook."""


def length(chapter: str, folder: Path | None = None) -> Length | None:
    """The length of a chapter; None where its notebook is not there.

    Prose is the text of the notebook's own cells without displayed formulas, code, exercises and solutions.

    Args:
        chapter: Name of the notebook, without ending.
        folder: Of the notebooks; the repository's by default.
    """
    path = (folder or project_root() / "notebooks") / f"{chapter}.ipynb"
    if not path.is_file():
        return None
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    prose = re.sub(r"^(`{3,}).*?^\1$|^\$\$$.*?^\$\$", "", text, flags=re.DOTALL | re.MULTILINE)
    return Length(len(prose.split()), len(re.findall(r"^`{3,}\{exercise\}", text, flags=re.MULTILINE)))


def overview_line(chapter: str) -> str:
    """Aims, chapters to read first and time of a chapter, in one line of Markdown.

    Args:
        chapter: Name of the notebook, without ending.

    Raises:
        UsageError: No such chapter.
    """
    aims = pick("chapter", AIMS, chapter)
    parts = [f"**You learn** {'; '.join(aims.learn)}."]
    if aims.first:
        links = [f"[chapter {int(name[:2])}]({name}.ipynb)" for name in aims.first]
        parts.append(f"**Read first:** {' and '.join(links)}.")
    found = length(chapter)
    if found is not None:
        exercises = f"{found.exercises} exercise{'s' if found.exercises > 1 else ''}"
        parts.append(f"**Time:** {found.minutes} minutes to read, {EXERCISE * found.exercises} for the {exercises}.")
    return " ".join(parts)


def overview(chapter: str) -> Markdown:
    """:func:`overview_line` as a cell's result, for a chapter without a card."""
    from drs.pages.chapter import prose

    return prose(overview_line(chapter))
