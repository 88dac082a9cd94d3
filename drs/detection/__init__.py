r"""Detection of adversarial examples by a score and a threshold: the thresholding test of the RCE paper.

**HIGHER = MORE NORMAL, everywhere.** Every score here, confidence, non-ME and log K-density, is large for examples
that look like the training data and small for suspicious ones; an example is rejected where its score is BELOW the
threshold. arXiv 1706.00633; for an RCE network the logits are those of :class:`drs.training.models.ReverseLogits`::

    from drs.detection import BANDWIDTH_RCE, KDensity, ThresholdingTest

    density = KDensity(BANDWIDTH_RCE).fit(model.features(train_images), train_labels)
    test = ThresholdingTest(density.score).fit(model.features(held_out), model(held_out).argmax(dim=1))
    labels = test.predict(predicted, model.features(images), predicted)  # -1 where it is not sure

This package is the one address of its names: the scores of logits, K-density, the thresholding test, and what the
scores are worth (ROC, AUC, detection rates).
"""

from typing import TYPE_CHECKING

from drs._lazy import lazily

if TYPE_CHECKING:
    from drs.detection.density import BANDWIDTH_CE, BANDWIDTH_RCE, KDensity
    from drs.detection.rates import (
        Roc,
        auc,
        auc_interval,
        detection_rate,
        evaluate_detector,
        paired_mask,
        rejection_threshold,
        roc,
        tpr_at_fpr,
        undetected_success,
    )
    from drs.detection.scores import confidence, non_me
    from drs.detection.thresholding import NOT_SURE, ThresholdingTest

__all__ = [
    "BANDWIDTH_CE",
    "BANDWIDTH_RCE",
    "NOT_SURE",
    "KDensity",
    "Roc",
    "ThresholdingTest",
    "auc",
    "auc_interval",
    "confidence",
    "detection_rate",
    "evaluate_detector",
    "non_me",
    "paired_mask",
    "rejection_threshold",
    "roc",
    "tpr_at_fpr",
    "undetected_success",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "density": ("BANDWIDTH_CE", "BANDWIDTH_RCE", "KDensity"),
        "rates": (
            "Roc",
            "auc",
            "auc_interval",
            "detection_rate",
            "evaluate_detector",
            "paired_mask",
            "rejection_threshold",
            "roc",
            "tpr_at_fpr",
            "undetected_success",
        ),
        "scores": ("confidence", "non_me"),
        "thresholding": ("NOT_SURE", "ThresholdingTest"),
    },
)
