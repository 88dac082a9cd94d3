"""A detector of adversarial examples before an attacker who does not know it, and before attackers who do.

**HIGHER = MORE NORMAL.** A detector that was only tried on adversarial examples made for the classifier has not been
tried: an attacker who knows it looks for images that fool the classifier AND look normal to it. This module runs both
and puts three scores that cost nothing beside the detector.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from drs._checks import check_images
from drs.attacks.adaptive import JointPGD, OrthogonalPGD, Score, SelectivePGD
from drs.attacks.balls import NORMS, Norm
from drs.attacks.base import Attack
from drs.attacks.models import attackable, check_model, differentiating
from drs.attacks.objectives import margin
from drs.attacks.sign import PGD
from drs.detection.areas import auc, auc_interval, aupr
from drs.detection.rates import fpr_at_tpr, rejection_threshold
from drs.detection.scores import confidence, energy, max_logit
from drs.errors import UsageError, unknown
from drs.evaluation.detector_report import OBLIVIOUS, WORST, DetectorAudit, Finding
from drs.evaluation.report import share_of

__all__ = ["BASELINES", "audit_detector"]

BASELINES: dict[str, Callable[[Tensor], Tensor]] = {"confidence": confidence, "max_logit": max_logit, "energy": energy}
"""Scores of logits that every classifier has, by name."""

_Outcome: TypeAlias = tuple[Tensor, Tensor]


def _of_logits(function: Callable[[Tensor], Tensor]) -> Score:
    return lambda model, images: function(model(images))


def _batches(size: int, *values: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(value.split(size) for value in values))


def _scores_of(score: Score, network: nn.Module, images: Tensor, size: int, name: str) -> Tensor:
    """(N,) on the processor, in double precision, without a gradient."""
    parts = []
    for part in images.split(size):
        with torch.no_grad():
            values = score(network, part)
        if not isinstance(values, Tensor) or values.shape != (len(part),):
            got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise UsageError(f"expected a score of (model, images) of shape ({len(part)},), got {got}")
        parts.append(values.double().cpu())
    scores = torch.cat(parts)
    if bool(scores.isnan().any()):
        raise UsageError(f"expected scores without NaN, got {int(scores.isnan().sum())} NaN of {name}")
    return scores


def _differentiable(score: Score, network: nn.Module, images: Tensor) -> bool:
    few = images[:2].clone().requires_grad_(True)
    try:
        values = score(network, few)
        return values.requires_grad and torch.autograd.grad(values.sum(), few, allow_unused=True)[0] is not None
    except RuntimeError as error:
        if "require" in str(error) and "grad" in str(error):  # numpy() of a tensor that does, or none that does
            return False
        raise


def _run(attack: Attack, network: nn.Module, images: Tensor, labels: Tensor, size: int) -> _Outcome:
    """The attacked images, and (N,) bool on the processor: whether the classifier is wrong on them."""
    made = [attack(network, x, y) for x, y in _batches(size, images, labels)]
    wrong = torch.cat([one.logits.argmax(dim=1) for one in made]) != labels
    return torch.cat([one.inputs for one in made]), wrong.cpu()


def _finding(
    score: str,
    attack: str,
    thresholds: tuple[float, float],
    clean: Tensor,
    right: Tensor,
    scores: Tensor,
    wrong: Tensor,
) -> Finding:
    """All numbers of one score before one attacker.

    Args:
        score: Its name.
        attack: Its name.
        thresholds: At 5% and 1% false alarms.
        clean: (N,) scores of the clean images.
        right: (N,) bool, the classifier is right on them.
        scores: (N,) of the attacked images.
        wrong: (N,) bool, the classifier is wrong on those.
    """
    used = scores[right & wrong]
    nothing = len(used) == 0
    low, high = (math.nan, math.nan) if nothing else auc_interval(clean, used)
    return Finding(
        score=score,
        attack=attack,
        fooled=share_of(wrong),
        undetected_5=share_of(wrong & (scores >= thresholds[0])),
        undetected_1=share_of(wrong & (scores >= thresholds[1])),
        detected_5=None if nothing else share_of(used < thresholds[0]),
        detected_1=None if nothing else share_of(used < thresholds[1]),
        auc=math.nan if nothing else auc(clean, used),
        auc_low=low,
        auc_high=high,
        fpr95=math.nan if nothing else fpr_at_tpr(clean, used),
        aupr_in=math.nan if nothing else aupr(clean, used),
        aupr_out=math.nan if nothing else aupr(clean, used, positive="adversarial"),
    )


def _clean(calibration: Tensor, images: Tensor) -> Tensor:
    """The images that set the thresholds, if they are such as those that are judged.

    Raises:
        UsageError: Another shape or device, NaN, or pixels outside [0, 1].
    """
    none = torch.zeros(len(calibration), dtype=torch.int64, device=calibration.device)
    calibration, _ = check_images(calibration, none)
    if calibration.shape[1:] != images.shape[1:] or calibration.device != images.device:
        raise UsageError(
            f"expected calibration images such as {tuple(images.shape[1:])} on {images.device}, got "
            f"{tuple(calibration.shape[1:])} on {calibration.device}"
        )
    return calibration


def audit_detector(
    model: nn.Module,
    score: Score,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: Norm = "linf",
    calibration: Tensor | None = None,
    baselines: bool = True,
    steps: int = 100,
    batch_size: int = 250,
    seed: int = 0,
) -> DetectorAudit:
    """Judge a detector: clean images against attackers who do not know it, and who do.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    >>> images, labels = torch.rand(40, 1, 2, 2), torch.zeros(40, dtype=torch.int64)
    >>> audit = audit_detector(model, lambda m, x: -x.flatten(1).std(dim=1), images, labels, epsilon=0.1, steps=3)
    >>> audit.judged, audit.calibration
    (20, 20)
    >>> audit.of("detector", "worst").undetected_5.total
    20

    The attacker who does not know the detector is PGD on the margin. Those who do are selective and orthogonal PGD
    (arXiv 2106.15023) and joint PGD, all of :mod:`drs.attacks.adaptive`, made for each score anew. Joint PGD weighs the
    score so that it and the margin spread alike over the clean images. ``worst`` takes for each image the best of all
    four. It is a lower bound on what an attacker can do: a stronger attack may exist.

    Args:
        model: Returns raw logits (N, C). A module is put in evaluation mode, and its mode restored.
        score: A function of (model, images) to (N,), higher = more normal. One that is not differentiable in the
            images meets only the attacker who does not know it, and the notes say so.
        images: (N, ...) in [0, 1], of the test set.
        labels: (N,) int64.
        epsilon: Budget of the attackers.
        norm: ``"linf"`` or ``"l2"``.
        calibration: Clean images that set the thresholds. None: the first half of ``images`` sets them and only the
            second half is judged.
        baselines: Put :data:`BASELINES` beside the detector, which costs as much again for each.
        steps: Of every attack.
        batch_size: Images at a time.
        seed: Of every attack.

    Raises:
        UsageError: Fewer than two images to judge or none to calibrate, a score of another shape or with NaN, an
            unknown norm, or what the attacks refuse.
    """
    started = time.perf_counter()
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    images, labels = check_images(images, labels)
    if calibration is None:
        half = len(images) // 2
        calibration, images, labels = images[:half], images[half:], labels[half:]
    else:
        calibration = _clean(calibration, images)
    if len(calibration) == 0 or len(images) < 2:
        raise UsageError(f"expected images to calibrate and 2 to judge, got {len(calibration)} and {len(images)}")
    common: dict[str, Any] = {"epsilon": epsilon, "norm": norm, "steps": steps, "seed": seed}
    scores: dict[str, Score] = {"detector": score}
    if baselines:
        scores |= {name: _of_logits(function) for name, function in BASELINES.items()}
    findings, notes, false_alarms = [], [], {}
    with differentiating(), attackable(model) as network:
        check_model(network, images, labels, differentiable=True)
        with torch.no_grad():
            logits = torch.cat([network(part) for part in images.split(batch_size)])
        right, spread = (logits.argmax(dim=1) == labels).cpu(), float(margin(logits, labels).std())
        moved, fooled = _run(PGD(**common, objective="margin"), network, images, labels, batch_size)
        for name, function in scores.items():
            held, clean, attacked = (
                _scores_of(function, network, values, batch_size, name) for values in (calibration, images, moved)
            )
            thresholds = rejection_threshold(held, 0.05), rejection_threshold(held, 0.01)
            false_alarms[name] = share_of(clean < thresholds[0])
            outcomes = {OBLIVIOUS: (attacked, fooled)}
            if _differentiable(function, network, images):
                weight = spread / max(float(clean.std()), 1e-12)
                for attack in (
                    SelectivePGD(**common, score=function),
                    OrthogonalPGD(**common, score=function),
                    JointPGD(**common, score=function, weight=weight),
                ):
                    found, wrong = _run(attack, network, images, labels, batch_size)
                    outcomes[type(attack).__name__] = (_scores_of(function, network, found, batch_size, name), wrong)
                outcomes[WORST] = _worst(list(outcomes.values()))
            else:
                notes.append(
                    f"{name} is not differentiable in the images, so only the attacker who does not know it was run: "
                    "its numbers say nothing about one who does."
                )
            findings += [_finding(name, a, thresholds, clean, right, s, w) for a, (s, w) in outcomes.items()]
    return DetectorAudit(
        findings=tuple(findings),
        false_alarms=false_alarms,
        epsilon=epsilon,
        norm=norm,
        calibration=len(calibration),
        judged=len(images),
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
    )


def _worst(outcomes: list[_Outcome]) -> _Outcome:
    """For each image the outcome that is wrong with the highest score; where none is, the highest score."""
    scores, wrong = (torch.stack(column) for column in zip(*outcomes))
    best = torch.where(wrong, scores, -torch.inf).amax(dim=0)
    fooled = wrong.any(dim=0)
    return torch.where(fooled, best, scores.amax(dim=0)), fooled
