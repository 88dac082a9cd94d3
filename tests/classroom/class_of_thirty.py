"""A class of thirty through the whole course, and how long that takes: 'make class'. Not collected by pytest.

Every student hands in each assignment under a number of the class list: the reference or one of the wrong submissions
of tests/submissions, another one each time.
"""

from __future__ import annotations

import csv
import itertools
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from drs.classroom.__main__ import app
from drs.classroom.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[2]
STUDENTS = 30
SLOW = {"endless", "eats_the_memory"}
"""Submissions that only end at a limit; a class has one of each."""


def hand_in(folder: Path) -> Path:
    """The submissions of a class, one folder per assignment; gives the class list."""
    folder.mkdir(parents=True)
    for assignment in sorted(path for path in (ROOT / "tests" / "submissions").glob("a?_*") if path.is_dir()):
        every = sorted(assignment.glob("*.ipynb"))
        slow = [path for path in every if path.stem in SLOW]
        usual = itertools.cycle(path for path in every if path.stem not in SLOW and path.stem != "wrong_folder")
        target = folder / assignment.name
        target.mkdir()
        for number, source in enumerate(itertools.islice(itertools.chain(slow, usual), STUDENTS)):
            shutil.copy(source, target / f"2026-{(7 * number + len(every)) % STUDENTS:02d}.ipynb")
    roster = folder.with_suffix(".csv")
    with roster.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "id"])
        rows.writerows([f"Student {number:02d}", f"2026-{number:02d}"] for number in range(STUDENTS))
    return roster


def main() -> int:
    """Hand in, grade, and count: every student has one row per assignment, and there are students of every variant."""
    folder = ROOT / "_build" / "class"
    shutil.rmtree(folder, ignore_errors=True)
    roster = hand_in(folder / "submissions")
    begun = time.perf_counter()
    app(["variants", str(roster), "--out", str(folder / "variants.csv")], standalone_mode=False)
    app(
        ["grade", str(folder / "submissions"), "--roster", str(roster), "--out", str(folder / "grades")],
        standalone_mode=False,
    )
    minutes = (time.perf_counter() - begun) / 60
    with (folder / "variants.csv").open(encoding="utf-8") as file:
        variants = Counter(row["variant"] for row in csv.DictReader(file))
    with (folder / "grades" / "grades.csv").open(encoding="utf-8") as file:
        graded = Counter(row["student"] for row in csv.DictReader(file))
    print(
        f"{sum(graded.values())} notebooks of {len(graded)} students in {minutes:.1f} minutes; "
        f"variants {dict(sorted(variants.items()))}"
    )
    right = len(graded) == STUDENTS and set(graded.values()) == {4} and len(variants) == len(VARIANTS)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
