"""Numbers that follow from the arrays of a record, computed when the record is read and not when it was made."""

from __future__ import annotations

import math

from drs.detection.areas import auc
from drs.study.metrics import DETECTORS, column
from drs.study.records import Record

__all__ = ["EXPERIMENTS", "derived"]

EXPERIMENTS = ("detection",)
"""Whose records have such numbers."""


def derived(record: Record) -> dict[str, float]:
    """What follows from the arrays of a record; nothing for most experiments.

    ``detection``: the AUC with which a detector's score ranks noisy images above the examples of an attack that fooled
    the network, at each budget whose scores are kept; NaN where none did.
    """
    if record.run.experiment not in EXPERIMENTS:
        return {}
    found = {}
    for detector in DETECTORS:
        ends = f".{detector}"
        scored = [name.removesuffix(ends) for name in record.arrays if name.endswith(ends)]
        for at in (name.removeprefix("noise") for name in scored if name.startswith("noise")):
            for attack in (name.removesuffix(at) for name in scored if name.endswith(at)):
                if attack == "noise":
                    continue
                fooling = record.arrays[attack + at + ends][record.arrays[f"{attack}{at}.used"].astype(bool)]
                key = column("noise_auc", detector=detector, attack=attack, budget=float(at.removeprefix("@")))
                found[key] = auc(record.arrays["noise" + at + ends], fooling) if len(fooling) else math.nan
    return found
