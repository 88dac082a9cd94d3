"""The audit of a detector: one that falls, one that holds, numbers by hand, and what cannot be attacked."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import PGD
from drs.detection import auc_interval, aupr, confidence
from drs.errors import UsageError
from drs.evaluation import detector_audit
from drs.evaluation.detector_audit import BASELINES, audit_detector
from drs.evaluation.detector_report import DetectorAudit, Finding
from drs.evaluation.report import share_of

EPSILON = 0.3


class FirstPixel(nn.Module):
    """Class 1 where the first of two pixels is above 0.5; the margin is 20 (x0 - 0.5)."""

    def forward(self, images: Tensor) -> Tensor:
        z = 10.0 * (images.flatten(1)[:, 0] - 0.5)
        return torch.stack([-z, z], dim=1)


def pixels(first: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 1, 2) of class 0 whose second pixel is 0.5."""
    images = torch.stack([first, torch.full_like(first, 0.5)], dim=1).reshape(-1, 1, 1, 2)
    return images, torch.zeros(len(first), dtype=torch.int64)


JUDGED = pixels(0.0075 * torch.arange(40.0))  # up to 0.2925; 0.3 more is above 0.5 for k >= 27: 13 images
CALIBRATION = pixels(0.015 * torch.arange(20.0))[0]  # at 5% one is rejected: the threshold of -x0 is -0.27


def darkness(model: nn.Module, images: Tensor) -> Tensor:
    """Holds: what fools the classifier is bright."""
    return -images.flatten(1)[:, 0]


def second_coarse(model: nn.Module, images: Tensor) -> Tensor:
    """Falls: a clean second pixel is 0.5, up to 0.03, and the classifier does not look at it."""
    return -((images.flatten(1)[:, 1] - 0.5).abs() - 0.03).clamp_min(0.0)


def audit(score: Any, **options: Any) -> DetectorAudit:
    return audit_detector(
        FirstPixel(), score, *JUDGED, epsilon=EPSILON, **{"calibration": CALIBRATION, "steps": 40, **options}
    )


def test_a_detector_that_holds_by_hand() -> None:
    found = audit(darkness)
    assert (found.judged, found.calibration, found.norm) == (40, 20, "linf")
    assert [f.attack for f in found.findings[:5]] == ["PGD", "SelectivePGD", "OrthogonalPGD", "JointPGD", "worst"]
    for attack in ("OrthogonalPGD", "JointPGD"):  # what fools the classifier is what the detector sees: no way out
        finding = found.of("detector", attack)
        assert finding.fooled.count <= 13
        assert finding.undetected_5.count == 0
    for attack in ("PGD", "SelectivePGD", "worst"):
        finding = found.of("detector", attack)
        assert (finding.fooled.count, finding.fooled.total) == (13, 40)
        assert finding.undetected_5.count == finding.undetected_1.count == 0  # fooled means x0 > 0.5
        assert finding.detected_5 == finding.detected_1 == share_of(torch.ones(13, dtype=torch.bool))
        assert (finding.auc, finding.fpr95, finding.aupr_in, finding.aupr_out) == (1.0, 0.0, 1.0, 1.0)
        assert finding.auc_low == pytest.approx(0.025 ** (1 / 13), abs=1e-12)
    # Clean images above 0.27 are rejected: k = 37, 38, 39 of 0.0075 k (36 is 0.27 itself).
    assert found.false_alarms["detector"].count == 3
    assert not any("falls" in sentence for sentence in found.alarms)


def test_a_detector_that_falls_to_who_knows_it() -> None:
    found = audit(second_coarse, baselines=False)
    blind, worst = found.of("detector", "PGD"), found.of("detector", "worst")
    assert blind.fooled.count == worst.fooled.count == 13
    assert blind.undetected_5.count <= 2  # its random start moved the second pixel
    assert worst.undetected_5.count == worst.undetected_1.count == 13  # who knows it puts the pixel back
    assert worst.detected_5 == share_of(torch.zeros(13, dtype=torch.bool))
    (falls,) = [sentence for sentence in found.alarms if "falls" in sentence]
    assert falls == (
        "The detector falls to an attacker who knows it: at 5% false alarms 0.325 [0.186, 0.491] of the images are "
        f"misclassified and kept, against {blind.undetected_5} for an attacker who does not."
    )


def test_in_l2() -> None:
    found = audit(second_coarse, norm="l2", baselines=False)
    assert found.norm == "l2"
    assert found.of("detector", "PGD").fooled.count == found.of("detector", "worst").undetected_5.count == 13
    assert repr(found).startswith("Detector under attack, l2 0.3")


def test_worst_holds_every_attack() -> None:
    found = audit(second_coarse)
    for score in ("detector", *BASELINES):
        worst = found.of(score, "worst")
        others = [f for f in found.findings if f.score == score and f.attack != "worst"]
        assert len(others) == 4
        for share in ("fooled", "undetected_5", "undetected_1"):
            assert getattr(worst, share).count >= max(getattr(f, share).count for f in others)
    assert found.of("detector", "worst").undetected_5.count == 13


def test_worst_by_hand() -> None:
    first = (torch.tensor([5.0, 1.0, 3.0, 0.0]), torch.tensor([True, True, False, False]))
    second = (torch.tensor([9.0, 2.0, 1.0, 4.0]), torch.tensor([False, True, True, False]))
    scores, wrong = detector_audit._worst([first, second])
    assert scores.tolist() == [5.0, 2.0, 1.0, 4.0]
    assert wrong.tolist() == [True, True, True, False]


def test_a_finding_by_hand() -> None:
    clean = torch.tensor([4.0, 3.0, 2.0, 1.0, 5.0], dtype=torch.float64)
    right = torch.tensor([True, True, True, True, False])
    scores = torch.tensor([2.5, 0.5, 9.0, 0.0, 7.0], dtype=torch.float64)
    wrong = torch.tensor([True, True, False, True, True])
    found = detector_audit._finding("s", "a", (1.0, 0.5), clean, right, scores, wrong)
    # Attacked, wrong and right before: 2.5, 0.5 and 0.0. The last image was wrong already, and is kept.
    assert (found.score, found.attack) == ("s", "a")
    assert found.fooled == share_of(wrong)
    assert (found.undetected_5.count, found.undetected_1.count) == (2, 3)
    assert found.undetected_5.total == 5
    assert found.detected_5 is not None
    assert found.detected_1 is not None
    assert (found.detected_5.count, found.detected_1.count, found.detected_5.total) == (2, 1, 3)
    used = [2.5, 0.5, 0.0]
    assert found.auc == pytest.approx(13 / 15, abs=1e-12)
    assert (found.auc_low, found.auc_high) == auc_interval(clean, used)
    assert found.fpr95 == pytest.approx(1 / 3, abs=1e-12)
    assert (found.aupr_in, found.aupr_out) == (aupr(clean, used), aupr(clean, used, positive="adversarial"))
    nothing = detector_audit._finding("s", "a", (1.0, 0.5), clean, right, scores, ~right)
    assert nothing.detected_5 is None
    assert math.isnan(nothing.auc)
    assert nothing.undetected_5.count == 1


def test_the_first_half_sets_the_thresholds() -> None:
    images, labels = torch.cat([CALIBRATION, JUDGED[0][:21]]), torch.zeros(41, dtype=torch.int64)
    halved = audit_detector(FirstPixel(), darkness, images, labels, epsilon=0.1, steps=2, baselines=False)
    given = audit_detector(
        FirstPixel(), darkness, images[20:], labels[20:], epsilon=0.1, steps=2, baselines=False, calibration=images[:20]
    )
    assert (halved.calibration, halved.judged) == (20, 21)
    assert repr(halved).split("\n")[1:] == repr(given).split("\n")[1:]
    assert any("attack fooled only 0 images" in sentence for sentence in halved.alarms)
    strange = audit(darkness, calibration=pixels(torch.zeros(30))[0], baselines=False)
    assert any("rejects 0.975 [0.868, 0.999] of those judged" in sentence for sentence in strange.alarms)


def no_gradient(model: nn.Module, images: Tensor) -> Tensor:
    return -images.detach().flatten(1)[:, 0]


def in_numpy(model: nn.Module, images: Tensor) -> Tensor:
    return torch.from_numpy(-images.numpy().reshape(len(images), -1)[:, 0].astype("float64"))


def rounded(model: nn.Module, images: Tensor) -> Tensor:
    return (images > 0.5).flatten(1).sum(dim=1).float()


@pytest.mark.parametrize("score", [no_gradient, in_numpy, rounded])
def test_a_score_without_a_gradient_meets_the_blind_attacker_only(score: Any) -> None:
    found = audit(score)
    assert [f.attack for f in found.findings if f.score == "detector"] == ["PGD"]
    assert len([f for f in found.findings if f.score == "energy"]) == 5
    assert found.notes == (
        "detector is not differentiable in the images, so only the attacker who does not know it was run: "
        "its numbers say nothing about one who does.",
    )
    assert found.notes[0] in repr(found)
    with pytest.raises(UsageError, match="unknown finding 'detector worst': expected one of confidence JointPGD"):
        found.of("detector", "worst")


def test_the_detector_that_is_a_baseline_has_its_numbers() -> None:
    found = audit(lambda model, images: confidence(model(images)), steps=10)
    for attack in ("PGD", "SelectivePGD", "JointPGD", "worst"):
        assert replace(found.of("detector", attack), score="confidence") == found.of("confidence", attack)
    assert any("A score that costs nothing does as well: confidence lets" in sentence for sentence in found.alarms)


def test_the_blind_attacker_is_pgd_on_the_margin() -> None:
    images, labels = JUDGED
    made = PGD(epsilon=EPSILON, steps=40, objective="margin")(FirstPixel(), images, labels)
    finding = audit(second_coarse, baselines=False).of("detector", "PGD")
    scores = second_coarse(FirstPixel(), made.inputs)
    assert finding.undetected_5.count == int((made.success & (scores >= 0.0)).sum())
    batched = audit(second_coarse, baselines=False, batch_size=7).of("detector", "PGD")
    assert batched.fooled == finding.fooled


class Saturated(FirstPixel):
    """The same classes with a softmax that is 0 and 1 in float32: cross-entropy has no gradient, the margin has."""

    def forward(self, images: Tensor) -> Tensor:
        return 300.0 * super().forward(images)


def test_the_blind_attacker_is_not_stopped_by_a_saturated_softmax() -> None:
    found = audit_detector(
        Saturated(), darkness, *JUDGED, epsilon=EPSILON, calibration=CALIBRATION, steps=40, baselines=False
    )
    assert found.of("detector", "PGD").fooled.count == 13


def test_table_frame_and_file(tmp_path: Any) -> None:
    found = audit(darkness)
    lines = repr(found).splitlines()
    assert lines[0].startswith("Detector under attack, linf 0.3: 40 images judged, thresholds from 20 others")
    assert lines[1].split()[-3:] == ["detected", "AUC", "FPR95"]
    assert lines[2].split()[:4] == ["detector", "PGD", "0.325", "0.000"]
    assert len([line for line in lines if line.startswith("  ")]) == 1 + 20
    frame = found.to_frame()
    assert len(frame) == 20
    row = frame.iloc[0]
    assert (row["score"], row["attack"], row["fooled"], row["undetected_5"]) == ("detector", "PGD", 0.325, 0.0)
    assert row["fooled_low"] == found.findings[0].fooled.low
    assert set(frame.columns) >= {"detected_5", "detected_5_high", "auc", "auc_low", "fpr95", "aupr_in", "aupr_out"}
    body = json.loads(found.save(tmp_path / "audit.json").read_text())
    assert body["findings"][0]["fooled"] == {
        "value": 0.325,
        "low": found.findings[0].fooled.low,
        "high": found.findings[0].fooled.high,
        "count": 13,
        "n": 40,
    }
    assert body["alarms"] == list(found.alarms)
    empty: Finding = replace(found.findings[0], auc=math.nan, detected_5=None)
    body = json.loads(replace(found, findings=(empty,)).save(tmp_path / "b.json").read_text())
    assert body["findings"][0]["auc"] is None
    assert body["findings"][0]["detected_5"] is None


def test_errors() -> None:
    with pytest.raises(UsageError, match=r"expected a score of \(model, images\) of shape \(20,\), got \(20, 2\)"):
        audit(lambda model, images: images.flatten(1))
    with pytest.raises(UsageError, match=r"expected a score of \(model, images\) of shape \(20,\), got float"):
        audit(lambda model, images: 1.0)
    with pytest.raises(UsageError, match="expected scores without NaN, got 20 NaN of detector"):
        audit(lambda model, images: images.flatten(1)[:, 0] * math.nan)
    with pytest.raises(UsageError, match="unknown norm 'l1': expected one of l2, linf"):
        audit(darkness, norm="l1")
    with pytest.raises(UsageError, match="expected images to calibrate and 2 to judge, got 0 and 40"):
        audit(darkness, calibration=CALIBRATION[:0])
    with pytest.raises(ZeroDivisionError):  # an error of the user's own passes through
        audit(lambda model, images: images.flatten(1)[:, 0] * (1 // 0))


@pytest.mark.parametrize(
    ("calibration", "sentence"),
    [
        (255.0 * CALIBRATION, r"expected pixels in \[0, 1\], got values from 0 to 127"),
        (torch.full_like(CALIBRATION, math.nan), "expected images without NaN"),
        (CALIBRATION.flatten(1), r"expected calibration images such as \(.*\) on cpu, got \(\d+,\) on cpu"),
    ],
)
def test_images_that_set_thresholds_are_like_those_that_are_judged(calibration: Tensor, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        audit(darkness, calibration=calibration, baselines=False)
