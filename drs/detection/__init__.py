r"""Detection of adversarial examples by a score and a threshold: the thresholding test of the RCE paper.

**HIGHER = MORE NORMAL, everywhere.** Every score here is large for examples
that look like the training data and small for suspicious ones; an example is rejected where its score is BELOW the
threshold. arXiv 1706.00633; for an RCE network the logits are those of :class:`drs.training.models.ReverseLogits`::

    from drs.detection import BANDWIDTH_RCE, KDensity, ThresholdingTest

    density = KDensity(BANDWIDTH_RCE).fit(model.features(train_images), train_labels)
    test = ThresholdingTest(density.score).fit(model.features(held_out), model(held_out).argmax(dim=1))
    labels = test.predict(predicted, model.features(images), predicted)  # -1 where it is not sure

This package is the one address of its names: the scores of logits (confidence, non-ME, and the baselines largest logit
and energy) and of features (K-density, and the baseline Mahalanobis), the thresholding test, and what the scores are
worth (ROC, AUC, AUPR, detection rates). :func:`drs.evaluation.detector_audit.audit_detector` judges a detector whole.
"""

from typing import TYPE_CHECKING

from drs._lazy import lazily

if TYPE_CHECKING:
    from drs.detection.areas import Roc, auc, auc_interval, aupr, roc
    from drs.detection.density import BANDWIDTH_CE, BANDWIDTH_RCE, KDensity
    from drs.detection.mahalanobis import Mahalanobis
    from drs.detection.rates import (
        detection_rate,
        evaluate_detector,
        fpr_at_tpr,
        paired_mask,
        rejection_threshold,
        tpr_at_fpr,
        undetected_success,
    )
    from drs.detection.scores import confidence, energy, max_logit, non_me
    from drs.detection.thresholding import NOT_SURE, ThresholdingTest

__all__ = [
    "BANDWIDTH_CE",
    "BANDWIDTH_RCE",
    "NOT_SURE",
    "KDensity",
    "Mahalanobis",
    "Roc",
    "ThresholdingTest",
    "auc",
    "auc_interval",
    "aupr",
    "confidence",
    "detection_rate",
    "energy",
    "evaluate_detector",
    "fpr_at_tpr",
    "max_logit",
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
        "density": (
            "BANDWIDTH_CE",
            "BANDWIDTH_RCE",
            "KDensity",
        ),
        "mahalanobis": ("Mahalanobis",),
        "rates": (
            "detection_rate",
            "evaluate_detector",
            "fpr_at_tpr",
            "paired_mask",
            "rejection_threshold",
            "tpr_at_fpr",
            "undetected_success",
        ),
        "areas": (
            "Roc",
            "aupr",
            "auc",
            "auc_interval",
            "roc",
        ),
        "scores": (
            "confidence",
            "energy",
            "max_logit",
            "non_me",
        ),
        "thresholding": (
            "NOT_SURE",
            "ThresholdingTest",
        ),
    },
)
