"""What there is, by name, without importing torch: for plans and for ``drs list``.

Each tuple holds the keys of the registry that is named beside it, in its order; a test compares the two.
"""

from __future__ import annotations

from drs.errors import unknown

__all__ = ["ATTACKS", "LOSSES", "MODELS", "PIXELS", "PUBLISHED_WEIGHT", "check_dataset_name"]

LOSSES = ("ce", "drs", "rce", "label_smoothing", "confidence_penalty", "logit_squeezing", "gce", "std", "mmc")
""":data:`drs.losses.LOSSES`."""
MODELS = ("small_conv", "mlp", "lenet", "resnet", "mmc")
""":data:`drs.training.models.MODELS`."""
ATTACKS = ("noise", "fgsm", "bim", "ilcm", "pgd", "margin", "targeted")
""":data:`drs.evaluation.curves.ATTACKS`."""
PIXELS = {
    "mnist5k": 28,
    "mnist": 28,
    "fashion_mnist": 28,
    "cifar10": 32,
    "cifar100": 32,
    "svhn": 32,
    "cifar10-jpeg": 32,
}
"""Height and width of the images of each data set of :data:`drs.training.datasets.DATASETS`: plans read no data."""

PUBLISHED_WEIGHT = 128 * 0.005
"""The published b = 0.005 on a batch SUM, as a weight on the batch MEAN at batch 128 (see the page on differences)."""


def check_dataset_name(name: str) -> None:
    """Refuse a name that :func:`drs.training.datasets.load_dataset` would not know, without reading any data.

    Raises:
        UsageError: Neither a registered name nor ``folder:PATH``.
    """
    if not name.startswith("folder:") and name not in PIXELS:
        raise unknown("data set", name, [*PIXELS, "folder:PATH"])
