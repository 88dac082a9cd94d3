"""The names of the numbers in records: one table says what each is called, how it is labelled and how far it may move.

A name is ``name_part_number.detector.attack@budget``, in which only the first is always there: ``accuracy``,
``worst@0.05``, ``std_logits_mean``, ``margin_steps_50``, ``auc.k_density.bim@0.1``, ``transfer_auc.rce``.
Everything that builds a name or takes one apart does it here::

    >>> str(Metric("auc", detector="k_density", attack="bim", budget=0.1))
    'auc.k_density.bim@0.1'
    >>> Metric.parse("worst@0.05").budget
    0.05
    >>> frame = {"pgd@0.2": [0.1], "pgd@0.05": [0.6], "accuracy": [0.9]}
    >>> {metric.budget: name for name, metric in columns(frame, "pgd").items()}
    {0.05: 'pgd@0.05', 0.2: 'pgd@0.2'}
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, fields, replace
from functools import cache
from typing import Literal

from drs.errors import UsageError

__all__ = [
    "ATTACKS",
    "DETECTORS",
    "KINDS",
    "LOSSES",
    "PARTS",
    "SPREADS",
    "Kind",
    "Metric",
    "alarm_word",
    "column",
    "columns",
    "label",
    "unknown_metric",
]

DETECTORS = {"confidence": "confidence", "non_me": "non-ME", "k_density": "K-density"}
"""Scores of a detector, as the text calls them."""

LOSSES = {"ce": "CE", "rce": "RCE", "drs": "DRS", "label_smoothing": "label smoothing"}
"""Losses that stand in a name, as the text calls them."""

ATTACKS = {
    "noise": "noise",
    "fgsm": "FGSM",
    "bim": "BIM",
    "ilcm": "ILCM",
    "jsma": "JSMA",
    "cw": "C&W",
    "cw_hc": "C&W-hc",
    "wb_0": "kappa 0",
    "wb_high": "high kappa",
    "clean": "no attack",
    "blind": "PGD that ignores the test",
    "selective": "selective PGD",
    "orthogonal": "orthogonal PGD",
    "joint": "joint PGD",
    "union": "all of them, image by image",
}
"""Attacks that stand in a name after a dot, as the text calls them; ``wb_0`` and ``wb_high`` are the white-box C&W."""

SPREADS = {
    "std_logits": "std of false logits",
    "std_probabilities": "std of false probabilities",
    "variance_logits": "variance of false logits",
    "variance_probabilities": "variance of false probabilities",
    "entropy_logits": "entropy of false classes",
    "entropy_probabilities": "unnormalised false entropy",
}
"""Measures of the false classes, as the text calls them."""

PARTS = ("mean", "median", "before", "after", "rises", "low", "high", "all", "fooled", "normal", "only", "few", "area")
"""Last words that say which part or statistic of a number it is: ``std_logits_mean``, ``auc_low``, ``worst_area``."""

_SPREAD_PARTS = ("", "mean", "median", "before", "after")


@dataclass(frozen=True)
class Kind:
    """A kind of number: its names and how far a recomputation may move it.

    Attributes:
        title: What the numbers are.
        labels: From the form of a name to its label for readers. The form has ``#`` for the number, and says whether a
            detector, a loss, an attack or a white-box attack (``wb``) follows, with ``@`` where a budget
            gives the name another meaning. The label has ``{at}`` where the budget is said, after a comma.
        unit: ``absolute``; ``relative`` to the larger of the two; ``share`` and ``count`` of images, to which three
            binomial standard errors of a difference at their mean are added; or ``ignored``.
        allowed: The largest difference that is no drift.
        over: Name of the metric that counts the examples behind the number; the run's images where it is empty.
    """

    title: str
    labels: Mapping[str, str]
    unit: Literal["absolute", "relative", "share", "count", "ignored"]
    allowed: float = 0.0
    over: str = ""


def _spread(*names: str, parts: tuple[str, ...] = _SPREAD_PARTS) -> dict[str, str]:
    """Forms and labels of measures of the false classes; the mean is the usual part, and is not said."""
    return {
        f"{name}_{part}" if part else name: SPREADS[name] + (f", {part}" if part not in ("", "mean") else "{at}")
        for name in names
        for part in parts
    }


def _with_ends(labels: Mapping[str, str]) -> dict[str, str]:
    """The same, with the two ends of their intervals."""
    ends = {"": "", "_low": ", lower end", "_high": ", upper end"}
    return {
        form.replace(".", f"{end}.", 1) if "." in form else form + end: label + said
        for form, label in labels.items()
        for end, said in ends.items()
    }


KINDS = (
    Kind(
        "memory",
        {
            "memory_ratio": "memory, ratio",
            "ce_bytes": "CE, bytes",
            "drs_bytes": "DRS, bytes",
            "naive_bytes": "loop over samples, bytes",
        },
        "relative",
        0.05,
    ),
    Kind(
        "time, and ratios of times",
        {
            "seconds_per_example.attack": "{attack}, s",
            "seconds_per_example.wb": "C&W-wb, {attack}, s",
            "ce_milliseconds": "CE, ms",
            "drs_milliseconds": "DRS, ms",
            "naive_milliseconds": "loop over samples, ms",
            **_with_ends({"drs_ratio": "DRS over CE", "naive_ratio": "loop over samples over CE"}),
        },
        "ignored",
    ),
    Kind("which image is shown", {"label": "label"}, "ignored"),
    Kind("alarms, each on one side of its limit", {"alarm.attack": "{attack}", "alarms": "alarms fired"}, "ignored"),
    Kind(
        "what became of a broken thing",
        {"caught": "caught by an alarm that names the cause", "refused": "refused"},
        "ignored",
    ),
    Kind(
        "what does not depend on a network",
        {
            "images": "images",
            "square_images": "images for Square",
            "diverged": "diverged",
            "slope.loss": "exponent, {loss}",
        },
        "absolute",
        1e-6,
    ),
    Kind(
        "counts of images",
        {
            "fooled": "fooled images",
            "successes.attack": "{attack} successes",
            "successes.detector.attack": "{attack} successes",
            "f2_count.wb": "{attack}: images that reached it",
        },
        "count",
        0.05,
    ),
    Kind("AUC on transferred images", _with_ends({"transfer_auc.loss": "to {loss}: AUC"}), "share", 0.05),
    Kind(
        "the same, of those that fool",
        {"transfer_auc_fooled.loss": "to {loss}: AUC, fooled only"},
        "share",
        0.05,
        "transfer",
    ),
    Kind(
        "AUC and rates over successes",
        {
            **_with_ends({"auc.detector.attack": "AUC of {detector}, {attack}{at}"}),
            "auc_all.detector.attack": "{attack}",
            "noise_auc.detector.attack": "{attack}: noise above it{at}",
            "detection_rate_#.detector.attack": "{attack}",
            "false_rejection_#.detector.attack": "clean images",
            "tpr_at_fpr_#.detector.attack": "{attack}",
        },
        "share",
        0.3,
        "successes",
    ),
    Kind("AUC over the bandwidth", {"bandwidth_auc": "AUC, bandwidth times{at}"}, "share", 0.05),
    Kind("share with f2 > 0", {"f2_positive.wb": "{attack}: f2 > 0"}, "share", 0.05, "f2_count"),
    Kind("share whose spread rises", _spread(*SPREADS, parts=("rises",)), "share", 0.05, "fooled"),
    Kind(
        "mean distance of the white-box attack",
        {
            "distortion.wb": "{attack}: distortion",
            "distortion_normal.wb": "{attack}: distortion of those with f2 <= 0",
        },
        "relative",
        0.2,
        "f2_count",
    ),
    Kind(
        "mean distance over successes", {"distortion.attack": "{attack} distortion{at}"}, "relative", 0.2, "successes"
    ),
    Kind(
        "median distance",
        {
            "ddn_median": "DDN distance",
            "deepfool_median": "DeepFool distance",
            "carlini_wagner_median": "C&W distance",
            "linf_l2_median": "shortest distance",
        },
        "relative",
        0.2,
    ),
    Kind(
        "accuracy on clean images",
        {
            "accuracy": "clean accuracy",
            "accuracy@": "accuracy under C&W, constant{at}",
            "clean": "clean accuracy",
            "train_accuracy": "accuracy in training",
            "transfer_clean.loss": "to {loss}: wrong on clean images",
        },
        "share",
        0.02,
    ),
    Kind("clean error in percent", {"error_percent": "error, %"}, "absolute", 3.0),
    Kind("cross-entropy", {"cross_entropy": "cross-entropy"}, "relative", 0.3),
    Kind(
        "calibration error",
        {"calibration_error": "calibration error", "calibration_error_after": "calibration error, tempered"},
        "absolute",
        0.05,
    ),
    Kind("spread of the false logits", _spread("std_logits"), "relative", 0.3),
    Kind("its square", _spread("variance_logits"), "relative", 0.5),
    Kind(
        "measures in [0, 1]",
        _spread("std_probabilities", "variance_probabilities", "entropy_logits", "entropy_probabilities"),
        "absolute",
        0.05,
    ),
    Kind(
        "rank correlation in a network",
        {f"sample_spearman_{name}": f"rank correlation, {label}" for name, label in SPREADS.items()},
        "absolute",
        0.15,
    ),
    Kind("silhouette and fitted exponent", {"silhouette": "silhouette", "slope": "exponent"}, "absolute", 0.1),
    Kind(
        "medians over decades",
        {
            "alpha_median": "alpha, median",
            "gap_median": "largest difference of false classes, median",
            "gradient_norm_median": "gradient norm",
        },
        "relative",
        0.5,
    ),
    Kind(
        "arithmetic",
        {"float64_difference": "float32 against float64", "repeat_difference": "a second pass against the first"},
        "absolute",
        0.01,
    ),
    Kind(
        "share that a detector lets through",
        {"undetected.detector.attack": "{attack}", "undetected.detector.wb": "{attack}: wrong and accepted"},
        "share",
        0.2,
    ),
    Kind("value that the validation images chose", {"tuned": "value taken"}, "ignored"),
    Kind(
        "accuracy on validation images",
        {"validation": "worst case on validation images{at}", "validation_clean": "accuracy on validation images{at}"},
        "share",
        0.1,
    ),
    Kind(
        "size of the answers",
        {
            "clean_margin_median": "margin",
            "logit_norm_median": "norm of the centred logits",
            "linear_radius_median": "margin over its slope",
            "divisor": "what the logits are divided by",
            "relative_spread_median": "spread of the false logits over the true one's lead",
        },
        "relative",
        0.5,
    ),
    Kind("entropy in nats", {"non_me_mean": "non-ME"}, "absolute", 0.15),
    Kind(
        "shares of images under attack",
        {
            "accuracy.attack": "accuracy under {attack}{at}",
            "success.wb": "{attack}: success",
            "rescaled": "CE with its logits divided{at}",
            "transfer.loss": "to {loss}: wrong on examples",
        },
        "share",
        0.1,
    ),
    Kind(
        "accuracy under attack",
        {
            "noise": "noise{at}",
            "noise_only": "only noise{at}",
            "fgsm": "FGSM{at}",
            "bim": "BIM{at}",
            "pgd": "PGD-20{at}",
            "ce": "PGD, cross-entropy{at}",
            "scaled_ce": "PGD, scaled cross-entropy{at}",
            "dlr": "PGD, DLR{at}",
            "margin": "PGD-20, margin{at}",
            "targeted": "targeted PGD{at}",
            "true_logit": "PGD, true logit{at}",
            "random_logit": "PGD, logit of a random class{at}",
            "target_logit": "PGD, logit of every class{at}",
            "true_logit_runs_#": "PGD, true logit, {number} runs",
            "transfer": "transfer{at}",
            "transfer_only": "only transfer{at}",
            "square": "Square{at}",
            "square_only": "only Square{at}",
            "white": "worst of the gradients{at}",
            "white_few": "worst of the gradients, first images{at}",
            "worst": "worst case{at}",
            "worst_area": "area under the worst case",
            "strong_worst": "worst case of all attacks{at}",
            "ce_steps_#": "PGD, cross-entropy, {number} steps",
            "margin_steps_#": "PGD, margin, {number} steps",
            "margin_restarts_#": "PGD, margin, {number} restarts",
        },
        "share",
        0.05,
    ),
    Kind(
        "accuracy in the checks",
        {
            "temperature_#": "PGD, temperature {number}",
            "float32": "PGD in float32",
            "float64": "PGD in float64",
            "largest_budget": "accuracy at the largest budget",
        },
        "share",
        0.05,
    ),
    Kind("share of zero gradients", {"zero_gradient_share": "images without a gradient"}, "absolute", 0.05),
    Kind(
        "captions",
        {
            "caption_exact": "clean captions that are right",
            "overlap_steps_#.attack": "word overlap after {number} steps, {attack}",
            "false_std": "spread of the false logits inside a token",
            "batch_std": "spread of their means between tokens",
        },
        "absolute",
        0.1,
    ),
    Kind("weight of a sum over tokens", {"scaled_penalty": "weight times tokens"}, "relative", 0.1),
    Kind(
        "calibration of scaled logits",
        {
            f"{name}{shift}.attack": f"{said}{where}, {{attack}}" + ("{at}" if shift == "_rotation" else "")
            for name, said in (("nll", "NLL"), ("ece", "ECE"), ("brier", "Brier score"), ("hits", "accuracy"))
            for shift, where in (("", ", clean"), ("_shift", ", shifted"), ("_rotation", ", rotated"))
        }
        | {
            "aupr.attack": "area under precision and recall, {attack}",
            "scale_mean": "factor on clean images",
            "scale_shift": "factor on shifted images",
            "scale_low": "smallest factor",
            "scale_high": "largest factor",
            "distance_correlation.attack": "rank correlation of uncertainty with distance, {attack}",
            "uncertainty.attack": "uncertainty on points like those of training, {attack}",
        },
        "absolute",
        0.1,
    ),
    Kind(
        "log-density of held-out features",
        {"log_density_before": "log-density before fitting", "log_density_after": "log-density after fitting"},
        "relative",
        0.3,
    ),
    Kind(
        "temperature",
        {"best_temperature": "fitted temperature", "best_temperature.attack": "temperature, {attack}"},
        "relative",
        0.3,
    ),
    Kind(
        "verification",
        {
            "eer.attack": "EER, {attack}",
            "fnmr_#.attack": "FNMR at an FMR of 1 / {number}, {attack}",
            "genuine.attack": "mean genuine score, {attack}",
            "impostor.attack": "mean impostor score, {attack}",
            "restrained_batches": "share of restrained batches",
        },
        "absolute",
        0.05,
    ),
    Kind("Fisher's ratio", {"fisher.attack": "Fisher ratio, {attack}"}, "relative", 0.3),
    Kind(
        "loss in training",
        {
            "train_loss": "loss in training",
            "train_loss_before.attack": "loss of the first updates, {attack}",
            "train_loss_after.attack": "loss of the last updates, {attack}",
        },
        "relative",
        0.5,
    ),
)
"""Every kind of number. A name that is not here is refused."""

_FORMS = {form: (kind, label) for kind in KINDS for form, label in kind.labels.items()}


@dataclass(frozen=True, repr=False)
class Metric:
    """The name of a number, in its parts; ``str`` is the name as records have it.

    Attributes:
        name: What is measured (``"auc"``, ``"std_logits"``), or the attack under which accuracy is (``"pgd"``).
        part: Which statistic of it, one of :data:`PARTS`.
        number: Steps, restarts, temperature, or percent of false rejections.
        detector: A key of :data:`DETECTORS`.
        attack: The attack, as in :data:`ATTACKS`.
        loss: The loss of the network that is measured or transferred to.
        budget: What stands after ``@``: epsilon, or the constant, weight or factor at which it was measured.

    Raises:
        UsageError: No such kind of number.
    """

    name: str
    _: KW_ONLY
    part: str = ""
    number: float | None = None
    detector: str = ""
    attack: str = ""
    loss: str = ""
    budget: float | None = None

    def __post_init__(self) -> None:
        if self._form() not in _FORMS or (self.detector and self.detector not in DETECTORS):
            raise unknown_metric(str(self))

    def _form(self) -> str:
        head = self.stem + ("_#" if self.number is not None else "") + (".detector" if self.detector else "")
        if self.attack.startswith("wb_") and f"{head}.wb" in _FORMS:
            return f"{head}.wb"
        head += (".loss" if self.loss else "") + (".attack" if self.attack else "")
        return f"{head}@" if self.budget is not None and f"{head}@" in _FORMS else head

    @property
    def stem(self) -> str:
        """The first word with its part, without its number: ``"std_logits_mean"``, ``"detection_rate"``."""
        return f"{self.name}_{self.part}" if self.part else self.name

    @property
    def head(self) -> str:
        """The first word, with its part and its number: ``"std_logits_mean"``, ``"detection_rate_5"``."""
        return f"{self.stem}_{self.number:g}" if self.number is not None else self.stem

    def __str__(self) -> str:
        at = f"@{self.budget:g}" if self.budget is not None else ""
        return ".".join(filter(None, (self.head, self.detector, self.loss, self.attack))) + at

    def __repr__(self) -> str:
        said = {f.name: getattr(self, f.name) for f in fields(self)[1:] if getattr(self, f.name) not in ("", None)}
        return f"Metric({', '.join([repr(self.name), *(f'{key}={value!r}' for key, value in said.items())])})"

    @property
    def kind(self) -> Kind:
        """What sort of number it is, with its tolerance."""
        return _FORMS[self._form()][0]

    @property
    def label(self) -> str:
        """The number as the text calls it: ``"PGD-20, 0.05"``, ``"kappa 5: f2 > 0"``."""
        return _FORMS[self._form()][1].format(
            number=f"{self.number:g}" if self.number is not None else "",
            detector=DETECTORS.get(self.detector, ""),
            attack=ATTACKS.get(self.attack, self.attack.replace("_", " ")),
            loss=LOSSES.get(self.loss, self.loss),
            at=f", {self.budget:g}" if self.budget is not None else "",
        )

    @property
    def counted_by(self) -> list[Metric]:
        """Metrics that may count the examples behind this one, the most particular first; none for all images."""
        if not self.kind.over:
            return []
        found = []
        for detector in dict.fromkeys((self.detector, "")):
            for budget in dict.fromkeys((self.budget, None)):
                over = replace(self, name=self.kind.over, part="", number=None, detector=detector, budget=budget)
                found.append(over)
        return found

    @staticmethod
    def parse(name: str) -> Metric:
        """The parts of a name.

        Raises:
            UsageError: A name that no kind of number has.
        """
        return _parsed(name)


@cache
def _parsed(name: str) -> Metric:
    matched = re.fullmatch(r"([a-z_0-9]+?)(?:_(\d+(?:\.\d+)?))?((?:\.\w+){0,2})(?:@([\d.e+-]+))?", name)
    if matched is None:
        raise unknown_metric(name)
    stem, number, subjects, budget = matched.groups()
    word, _, part = stem.rpartition("_")
    if part not in PARTS or not word:
        word, part = stem, ""
    *detectors, subject = subjects.split(".")[1:] or [""]
    loss = f"{stem}.loss" in _FORMS
    found = Metric(
        word,
        part=part,
        number=float(number) if number else None,
        detector="".join(detectors),
        attack="" if loss else subject,
        loss=subject if loss else "",
        budget=float(budget) if budget else None,
    )
    if str(found) != name:
        raise unknown_metric(name)
    return found


def unknown_metric(name: str) -> UsageError:
    """The error for a name that is not in the table."""
    return UsageError(f"unknown metric {name!r}: add its form, label and tolerance to drs.study.metrics.KINDS")


def column(head: str, *, detector: str = "", attack: str = "", loss: str = "", budget: float | None = None) -> str:
    """The name of a number, from its first word and the rest.

    >>> column("auc_low", detector="k_density", attack="bim", budget=0.1)
    'auc_low.k_density.bim@0.1'

    Args:
        head: The first word with its part and number.
        detector, loss, budget: As in :class:`Metric`.
        attack: The same, or with its budget as in ``"bim@0.1"``.

    Raises:
        UsageError: No such kind of number.
    """
    at = f"@{budget:g}" if budget is not None else ""
    return str(Metric.parse(".".join(filter(None, (head, detector, loss, attack))) + at))


def alarm_word(name: str) -> str:
    """The name of an alarm as it stands in the name of a number.

    >>> column("alarm", attack=alarm_word("cross-entropy misleads"))
    'alarm.cross_entropy_misleads'
    """
    return re.sub(r"\W", "_", name)


def columns(
    names: Iterable[Hashable],
    head: str,
    *,
    detector: str | None = None,
    attack: str | None = None,
    loss: str | None = None,
) -> dict[str, Metric]:
    """Those of the names that begin with this word, and their parts.

    >>> columns(["pgd@0.2", "seed", "pgd@0.05", "accuracy"], "pgd")
    {'pgd@0.05': Metric('pgd', budget=0.05), 'pgd@0.2': Metric('pgd', budget=0.2)}

    Args:
        names: A data frame, the metrics of a record, or names. Those that are no metric are left out.
        head: The first word with its part (``auc_low``), and with its number (``detection_rate_5``) or for any
            (``margin_steps``).
        detector, attack, loss: As in :class:`Metric`; ``""`` for none, None for any.

    Returns:
        In increasing budget, then number, then as they come.
    """
    found = {}
    for name in map(str, names):
        metric = _known(name)
        if metric is None or head not in (metric.head, metric.stem):
            continue
        wanted = ((detector, metric.detector), (attack, metric.attack), (loss, metric.loss))
        if all(value is None or value == has for value, has in wanted):
            found[name] = metric
    return dict(sorted(found.items(), key=lambda item: (item[1].budget or 0.0, item[1].number or 0.0)))


def label(name: str) -> str:
    """The label of a column for readers; a column that is no metric is its own label."""
    metric = _known(name)
    return name if metric is None else metric.label


def _known(name: str) -> Metric | None:
    try:
        return Metric.parse(name)
    except UsageError:
        return None
