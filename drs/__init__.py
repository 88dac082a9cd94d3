"""Adversarial robustness and the softmax of the false classes: losses, attacks, detection, honest evaluation.

>>> import drs
>>> loss = drs.DRSLoss(penalty=0.64)
>>> attack = drs.PGD(epsilon=8 / 255, steps=20)

Importing this package imports nothing heavy: each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from drs._lazy import lazily

if TYPE_CHECKING:
    from drs.attacks import PGD, Standard
    from drs.attacks.models import Normalised
    from drs.detection import KDensity, ThresholdingTest
    from drs.evaluation.audit import audit
    from drs.evaluation.certified import certified_accuracy
    from drs.evaluation.detector_audit import audit_detector
    from drs.evaluation.report import evaluate
    from drs.losses import DRSLoss, RCELoss, drs_loss, rce_loss

try:
    __version__ = version("drs")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = [
    "PGD",
    "DRSLoss",
    "KDensity",
    "Normalised",
    "RCELoss",
    "Standard",
    "ThresholdingTest",
    "__version__",
    "audit",
    "audit_detector",
    "certified_accuracy",
    "drs_loss",
    "evaluate",
    "rce_loss",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "attacks": ("PGD", "Standard"),
        "attacks.models": ("Normalised",),
        "detection": ("KDensity", "ThresholdingTest"),
        "evaluation.audit": ("audit",),
        "evaluation.certified": ("certified_accuracy",),
        "evaluation.detector_audit": ("audit_detector",),
        "evaluation.report": ("evaluate",),
        "losses": ("DRSLoss", "RCELoss", "drs_loss", "rce_loss"),
    },
)
