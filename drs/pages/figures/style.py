"""One house style: one colour a loss everywhere, colour-blind safe (Okabe and Ito), vector graphics without dates."""

from __future__ import annotations

import seaborn as sns
from matplotlib.axes import Axes

COLOURS = {
    "ce": "#0072B2",
    "drs": "#D55E00",
    "rce": "#009E73",
    "label-smoothing": "#CC79A7",
    "confidence-penalty": "#E69F00",
    "logit-squeezing": "#56B4E9",
    "adversarial": "#444444",
}
"""Colour of each loss; everything else is grey."""

NAMES = {
    "ce": "CE",
    "drs": "DRS",
    "rce": "RCE",
    "label-smoothing": "label smoothing",
    "confidence-penalty": "confidence penalty",
    "logit-squeezing": "logit squeezing",
    "adversarial": "adversarial training",
}
"""Losses as the text calls them."""

MEASURE_NAMES = {
    "std_logits": "std of false logits",
    "std_probabilities": "std of false probabilities",
    "variance_logits": "variance of false logits",
    "variance_probabilities": "variance of false probabilities",
    "entropy_logits": "entropy of false classes",
    "entropy_probabilities": "unnormalised false entropy",
}
ATTACK_NAMES = {
    "noise": "noise",
    "fgsm": "FGSM",
    "bim": "BIM",
    "ilcm": "ILCM",
    "jsma": "JSMA",
    "cw": "C&W",
    "cw_hc": "C&W-hc",
    "pgd": "PGD-20",
    "margin": "PGD-20, margin",
    "targeted": "targeted PGD",
    "worst": "worst case",
    "strong_worst": "worst case of all attacks",
    "bandwidth_auc": "AUC, bandwidth times",
}

OUTCOME_NAMES = {
    "accuracy": "clean accuracy",
    "clean": "clean accuracy",
    "worst_area": "area under the worst case",
    "calibration_error": "calibration error",
    "error_percent": "error, %",
    "train_accuracy": "accuracy in training",
    "std_logits_mean": "std of false logits",
    "entropy_logits_mean": "entropy of false classes",
    "gradient_norm_median": "gradient norm",
    "distortion.cw": "C&W distortion",
    "accuracy.cw": "accuracy under C&W",
    "successes.cw": "C&W successes",
    "distortion.cw_hc": "C&W-hc distortion",
    "successes.cw_hc": "C&W-hc successes",
    "ddn_median": "DDN distance",
    "deepfool_median": "DeepFool distance",
    "carlini_wagner_median": "C&W distance",
    "silhouette": "silhouette",
    "AUC k-density": "AUC of K-density",
    "AUC non-me": "AUC of non-ME",
}
for _attack in ("fgsm@0.1", "bim@0.1", "ilcm@0.1", "jsma@0.1", "cw", "cw_hc"):
    for _column in ("auc_all", "detection_rate_5", "undetected"):
        OUTCOME_NAMES[f"{_column}.k_density.{_attack}"] = ATTACK_NAMES[_attack.partition("@")[0]]
OUTCOME_NAMES["false_rejection_5.k_density.noise@0.1"] = "clean images"
for _kappa in (0, 5):
    OUTCOME_NAMES |= {
        f"success.wb_{_kappa}": f"kappa {_kappa}: success",
        f"f2_positive.wb_{_kappa}": f"kappa {_kappa}: f2 > 0",
        f"distortion.wb_{_kappa}": f"kappa {_kappa}: distortion",
        f"undetected.k_density.wb_{_kappa}": f"kappa {_kappa}: wrong and accepted",
        f"seconds_per_example.wb_{_kappa}": f"C&W-wb, kappa {_kappa}, s",
    }
OUTCOME_NAMES["seconds_per_example.fgsm"] = "FGSM, s"
for _loss in ("ce", "rce", "drs"):
    OUTCOME_NAMES |= {
        f"transfer_clean.{_loss}": f"to {NAMES[_loss]}: wrong on clean images",
        f"transfer.{_loss}": f"to {NAMES[_loss]}: wrong on examples",
        f"transfer_auc.{_loss}": f"to {NAMES[_loss]}: AUC",
        f"transfer_auc_fooled.{_loss}": f"to {NAMES[_loss]}: AUC, fooled only",
    }

CANVAS = {
    "svg.hashsalt": "drs",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.dpi": 100,
    "savefig.dpi": 90,
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}


def apply() -> None:
    """Set the style for every figure that follows, in a notebook or a script."""
    sns.set_theme(context="notebook", style="ticks", font_scale=0.9, rc=CANVAS)


def colour(variant: str) -> str:
    """Colour of a loss or of a variant of it."""
    return COLOURS.get(variant, "#777777")


def name(variant: str) -> str:
    """A loss as the text calls it; other variants by their own name."""
    return NAMES.get(variant, variant)


def measure(column: str) -> str:
    """A column of a false-class measure (``std_logits``, ``std_logits_median``) as the text calls it."""
    found = column.removesuffix("_median")
    return MEASURE_NAMES.get(found, found) + (", median" if found != column else "")


def outcome(column: str) -> str:
    """A column of the records (``pgd@0.05``, ``ddn_median``) as the text calls it."""
    found, at, epsilon = column.partition("@")
    if at and column not in OUTCOME_NAMES:
        return f"{ATTACK_NAMES.get(found, found)}, {epsilon}"
    return OUTCOME_NAMES.get(column, column)


def tidy(axes: Axes, *, grid: bool = True) -> None:
    """No frame above and right, a light grid behind (unless there are many panels)."""
    sns.despine(ax=axes)
    if grid:
        axes.grid(True, color="#999999", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
