"""Which variant of the open parts a student works on: chosen by the number in the class list, the same each time.

>>> variant("2024-117") == variant(" 2024 117 ")
True
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from drs.classroom.feedback import write_rows
from drs.classroom.identity import Roster, plain

__all__ = ["VARIANTS", "Variant", "variant", "write_variants"]


@dataclass(frozen=True)
class Variant:
    """What differs between students in the parts that are not graded.

    Attributes:
        name: A letter.
        weight: Of the DRS penalty in training.
        epsilon: Budget of the attacks.
        seed: Of the training.
    """

    name: str
    weight: float
    epsilon: float
    seed: int

    def __str__(self) -> str:
        return f"variant {self.name}: penalty weight {self.weight:g}, epsilon {self.epsilon:g}, seed {self.seed}"


VARIANTS = (Variant("A", 0.01, 0.1, 0), Variant("B", 0.03, 0.1, 1), Variant("C", 0.1, 0.08, 2))


def variant(number: str) -> Variant:
    """The variant of a student.

    Args:
        number: In the class list; case, spaces and punctuation do not matter. Without one it is the first variant.
    """
    key = plain(number)
    if not key:
        return VARIANTS[0]
    return VARIANTS[int(hashlib.sha256(key.encode()).hexdigest(), 16) % len(VARIANTS)]


def write_variants(roster: Roster, path: Path) -> None:
    """A table of the class: name, the number that a student types in, and the variant that it gives.

    Args:
        roster: The class list.
        path: Of the CSV.
    """
    rows = [["student", "number", "variant", "weight", "epsilon", "seed"]]
    for one in roster.students:
        mine = variant(one.number)
        rows.append([one.name, one.number, mine.name, f"{mine.weight:g}", f"{mine.epsilon:g}", str(mine.seed)])
    write_rows(rows, path)
