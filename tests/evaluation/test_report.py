"""A model on a user's data: shares with exact intervals, whatever form the data come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from drs.attacks import PGD
from drs.errors import UsageError
from drs.evaluation.report import evaluate, share_of


class Threshold(nn.Module):
    """Class 1 where the only pixel is above one half; PGD with epsilon e turns every image nearer to it than e."""

    def forward(self, images: Tensor) -> Tensor:
        value = images.flatten(1).sum(dim=1)
        return torch.stack([0.5 - value, value - 0.5, value * 0.0 - 9.0], dim=1)


IMAGES = torch.tensor([0.1, 0.45, 0.55, 0.9, 0.7, 0.3]).reshape(6, 1, 1, 1)
LABELS = torch.tensor([0, 0, 1, 1, 0, 0])  # the fifth is wrong as it is
ATTACK = PGD(epsilon=0.1, steps=5)


def test_counts_by_hand() -> None:
    report = evaluate(Threshold(), (IMAGES, LABELS), ATTACK)
    assert (report.clean_accuracy.count, report.clean_accuracy.total) == (5, 6)
    assert report.robust_accuracy.count == 3  # 0.1, 0.9 and 0.3 are farther than 0.1 from the boundary
    assert report.success.tolist() == [False, True, True, False, True, False]
    assert float(report.distances.max()) <= 0.1 + 1e-6
    assert report.norm == "linf"


def test_an_image_that_is_wrong_when_clean_is_never_robust() -> None:
    report = evaluate(Threshold(), (torch.tensor([[[[0.52]]]]), torch.tensor([0])), ATTACK)
    assert report.clean_accuracy.count == 0
    assert report.robust_accuracy.count == 0


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_tensors_and_a_loader_give_the_same(batch_size: int) -> None:
    whole = evaluate(Threshold(), (IMAGES, LABELS), ATTACK, batch_size=batch_size)
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=batch_size)
    parts = evaluate(Threshold(), loader, ATTACK)
    assert torch.equal(whole.attacked, parts.attacked)
    assert torch.equal(whole.distances, parts.distances)


def test_without_an_attack() -> None:
    report = evaluate(Threshold(), (IMAGES, LABELS))
    assert report.attack == "none"
    assert report.robust_accuracy == report.clean_accuracy


def test_the_mode_of_the_model_is_kept() -> None:
    model = Threshold().train()
    evaluate(model, (IMAGES, LABELS), ATTACK)
    assert model.training


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (0, 10, 0.0, 1 - 0.025 ** (1 / 10)),  # closed forms at both ends
        (10, 10, 0.025 ** (1 / 10), 1.0),
        (5, 10, 0.187086, 0.812914),  # Clopper and Pearson's table
    ],
)
def test_exact_interval(count: int, total: int, low: float, high: float) -> None:
    share = share_of(torch.arange(total) < count)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-6)
    assert float(share) == count / total


def test_text_frame_and_file(tmp_path: Path) -> None:
    report = evaluate(Threshold(), (IMAGES, LABELS), ATTACK)
    assert "clean accuracy   0.833 [0.359, 0.996]" in repr(report)
    assert "PGD(epsilon=0.1, steps=5" in repr(report)
    frame = report.to_frame()
    assert frame["attacked"].tolist() == [0, 1, 0, 1, 1, 0]
    body = json.loads(report.save(tmp_path / "report.json").read_text())
    assert body["robust_accuracy"]["value"] == 0.5
    assert body["examples"]["label"] == LABELS.tolist()


def test_a_function_is_a_model() -> None:
    model = Threshold()
    assert evaluate(lambda images: model(images), (IMAGES, LABELS), ATTACK).robust_accuracy.count == 3


def test_bad_data() -> None:
    with pytest.raises(UsageError, match="expected at least one example, got none"):
        evaluate(Threshold(), [])
    with pytest.raises(UsageError, match=r"expected \(images, labels\) or an iterable of such batches, got Tensor"):
        evaluate(Threshold(), IMAGES)
    with pytest.raises(UsageError, match="expected as many labels as images, got 2 for 6"):
        evaluate(Threshold(), (IMAGES, LABELS[:2]))


@pytest.mark.parametrize("attack", [None, ATTACK])
@pytest.mark.parametrize(
    ("model", "shift", "text"),
    [
        (lambda x: x.flatten(1)[:, :1], 0.0, r"expected a model with at least 2 classes, got 1: for a binary model"),
        (lambda x: (x.flatten(1),), 0.0, r"got tuple: attack a function such as lambda images: model\(images\)\[0\]"),
        (lambda x: {"logits": x}, 0.0, r"got dict: attack a function .*model\(images\)\['logits'\]"),
        (lambda x: torch.softmax(Threshold()(x), dim=1), 0.0, "expected a model that returns raw logits, got probab"),
        (Threshold(), 1.0, r"expected pixels in \[0, 1\], got values from 1.1 to 1.9: pass bounds=\(low, high\)"),
    ],
)
def test_what_is_no_model_or_no_image_is_refused_with_and_without_an_attack(
    model: Any, shift: float, text: str, attack: PGD | None
) -> None:
    """Without this a model of one logit has accuracy 1 on images of class 0."""
    with pytest.raises(UsageError, match=text):
        evaluate(model, (IMAGES + shift, LABELS), attack)


def test_batches_without_an_image_are_no_example() -> None:
    def model(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)

    images, labels = torch.rand(3, 1, 2, 2), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(UsageError, match="expected at least one example, got none"):
        evaluate(model, (images[:0], labels[:0]))
    both = evaluate(model, [(images[:0], labels[:0]), (images, labels)])
    assert len(both.labels) == 3
