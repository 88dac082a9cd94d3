"""The two experiments on detection are right: every number from pixels by hand, with attacks whose outcome is scripted.

Which split the density was fitted on, which one set the thresholds and which one was attacked all show in the numbers:
the first pixel, a feature, is another one in each split.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import silhouette_score
from torch import Tensor, nn

from drs.attacks import Attack
from drs.detection import KDensity, auc_interval
from drs.evaluation.curves import ATTACKS
from drs.study.experiments import adaptive, detection, whitebox
from drs.study.experiments import detector as detector_module
from drs.training.datasets import Split
from tests.study.oracle import BOUNDARY, TAGS, Array, Line, Scripted, dataset, line_logits, softmax, tags_of, training

TRAIN = [(0, 0.11), (1, 0.13), (2, 0.3), (0, 0.22), (1, 0.31), (2, 0.17), (0, -0.07), (1, 0.05)]
"""The first eight are trained on (one of them a mistake, which counts under its true label); more follow."""
VALIDATION = [(2 if k in (3, 6) else k % 2, 0.36 * (k + 1) / 21) for k in range(20)]
TEST = [(0, 0.06), (1, 0.21), (0, -0.09), (0, 0.033), (2, 0.25), (1, 0.14), (2, 0.16), (1, 0.29), (0, 0.19), (1, -0.05)]
TEST += [(1, 0.095)]
"""Every split has two of class 2 among its first, so that a density of the wrong one is wrong and not refused."""
DATA = dataset(
    train=[*TRAIN, (0, 0.39), (1, 0.59), (0, 0.38), (1, 0.58)],
    validation=VALIDATION,
    test=[*TEST, (0, 0.01), (1, 0.01)],
)
BANDWIDTHS = {"ce": 1 / 0.26, "drs": 1 / 0.26, "rce": 0.1 / 0.26}
METRICS = ("confidence", "non_me", "k_density")


def pixels(part: Split, count: int | None = None) -> Array:
    """(N, 3) in [0, 1]."""
    found: Array = part.images[:count].reshape(-1, 3).numpy() / 255.0
    return found


@dataclass(frozen=True)
class ByHand:
    """What a detector sees, from pixels: the Line network, and the density of its first eight training images."""

    sigma_squared: float
    slope: float = 10.0
    boundary: float = BOUNDARY
    train_size: int = 8

    def logits(self, x: Array) -> Array:
        return line_logits(x[:, 1], self.slope, self.boundary)

    def density(self, x: Array, label: NDArray[np.int64]) -> Array:
        examples, theirs = pixels(DATA.train, self.train_size), DATA.train.labels[: self.train_size].numpy()
        found = []
        for row, y in zip(x, label):
            squares = ((examples[theirs == y] - row) ** 2).sum(axis=1)
            found.append(math.log(np.mean(np.exp(-squares / self.sigma_squared))))
        return np.array(found)

    def scores(self, x: Array) -> dict[str, Array]:
        z = self.logits(x)
        label = z.argmax(axis=1)
        others = softmax(np.stack([np.delete(row, y) for row, y in zip(z, label)]))
        return {
            "label": label,
            "confidence": softmax(z).max(axis=1),
            "non_me": -(others * np.log(others)).sum(axis=1),
            "k_density": self.density(x, label),
        }

    def eta(self) -> Array:
        """Medians of minus the log density of each class's training examples."""
        examples, theirs = pixels(DATA.train, self.train_size), DATA.train.labels[: self.train_size].numpy()
        values = -self.density(examples, theirs)
        return np.array([np.median(values[theirs == y]) for y in range(3)])


def threshold(held_out: Array, rate: float) -> float:
    """At most ``rate`` of the held-out scores lie below it."""
    return float(np.sort(held_out)[math.floor(rate * len(held_out))])


def auc_by_hand(normal: Array, adversarial: Array) -> float:
    pairs = (normal[:, None] > adversarial).mean() + 0.5 * (normal[:, None] == adversarial).mean()
    return float(pairs)


def detector(held: Array, clean: Array, moved: Array) -> dict[str, float]:
    """AUC with its paired interval and the rates at 5% and 1%, thresholds from ``held``."""
    low, high = auc_interval(clean, moved, paired=True)
    found = {"auc": auc_by_hand(clean, moved), "auc_low": low, "auc_high": high}
    for percent in (5, 1):
        limit = threshold(held, percent / 100)
        last = np.sort(moved)[::-1][math.floor(percent / 100 * len(moved))]
        found[f"detection_rate_{percent}"] = float((moved < limit).mean())
        found[f"false_rejection_{percent}"] = float((clean < limit).mean())
        found[f"tpr_at_fpr_{percent}"] = float((clean > last).mean())
    return found


def distortion(x: Array, y: Array) -> Array:
    """(N,) root mean square change of a pixel, on the scale 0 to 255."""
    return np.asarray(255 * np.sqrt(((x - y) ** 2).mean(axis=1)))


@dataclass(frozen=True, kw_only=True)
class Move(Attack):
    """Moves x by ``by`` to the other side of the boundary, and the last pixel to ``mark``; notes every call."""

    by: float = 0.0
    mark: float = 77 / 255
    home: bool = False
    confidence: float = 0.0
    options: Mapping[str, Any] | None = None
    calls: ClassVar[list[tuple[Move, nn.Module, Tensor, Tensor]]] = []

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        self.calls.append((self, model, inputs, labels))
        there = moved(inputs.reshape(-1, 3).double().numpy(), labels.numpy(), self.by, self.mark, self.home)
        return torch.from_numpy(there).to(inputs).reshape(inputs.shape)

    def succeeded(self, model: nn.Module, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        true = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
        over = logits.scatter(1, labels.unsqueeze(1), -torch.inf).amax(dim=1) - true
        return (over > 0) & (over >= self.confidence)


def moved(x: Array, labels: NDArray[Any], by: float, mark: float, home: bool = False) -> Array:
    """The same by hand; with ``home`` every second image gets the outer pixels of a training image as well."""
    x = x.copy()
    x[:, 1] += np.where(labels == 0, by, -by)
    x[:, 2] = mark
    if home:
        x[::2, 0], x[::2, 2] = TAGS["train"] / 255, 77 / 255
    return x.clip(0.0, 1.0)


@pytest.fixture(autouse=True)
def _no_calls() -> Iterator[None]:
    Move.calls.clear()
    yield
    Move.calls.clear()


def same(found: Mapping[str, float], expected: Mapping[str, float]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), name


# --- detection -------------------------------------------------------------------------------------------------------

FACTORS = {"fgsm": (1.017, 0.31), "bim": (1.3, 0.32), "ilcm": (0.7, 0.33), "noise": (0.0, 0.9)}
"""How far each attack moves in units of its budget (never a whole number of bytes: no two scores tie), and its mark."""
COUNT, FEW = len(TEST), 5
SPEC = {"images": COUNT, "few_images": FEW, "epsilons": [0.1, 0.2], "jsma_steps": 13, "search_steps": 3}
SPEC |= {"max_iterations": 21}


def script(name: str) -> Callable[[float], Move]:
    by, mark = FACTORS[name]
    return lambda epsilon: Move(by=by * epsilon, mark=mark)


def scripted_jsma(theta: float, max_steps: int) -> Move:
    return Move(by=0.9 * theta, mark=0.34, options={"max_steps": max_steps})


def scripted_cw(confidence: float = 0.0, **options: Any) -> Move:
    """By 0.603, which clips x at 0: only images of class 0 within 0.1 of the boundary get a margin of 10."""
    return Move(by=0.603, mark=0.35 if confidence == 0.0 else 0.36, confidence=confidence, options=options)


def detected(monkeypatch: pytest.MonkeyPatch, loss: str) -> Any:
    for name in FACTORS:
        monkeypatch.setitem(ATTACKS, name, script(name))
    monkeypatch.setattr(detection, "BIM", lambda epsilon: Move(by=1.4 * epsilon, mark=0.37))
    monkeypatch.setattr(detection, "JSMA", scripted_jsma)
    monkeypatch.setattr(detection, "CarliniWagnerL2", scripted_cw)
    return detection.run({"network": training(loss, train_size=8), **SPEC}, Scripted(data=DATA))


SCRIPT: dict[str, tuple[float, float]] = {
    **{f"{name}@{e:g}": (by * e, mark) for name, (by, mark) in FACTORS.items() for e in (0.1, 0.2)},
    **{f"jsma@{e:g}": (0.9 * e, 0.34) for e in (0.1, 0.2)},
    "cw": (0.603, 0.35),
    "cw_hc": (0.603, 0.36),
}


@pytest.mark.parametrize("loss", ["ce", "rce", "drs"])
def test_detection_by_hand(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = detected(monkeypatch, loss)
    view = ByHand(BANDWIDTHS[loss])
    images, labels = pixels(DATA.test, COUNT), DATA.test.labels[:COUNT].numpy()
    held_out, normal = view.scores(pixels(DATA.validation)), view.scores(images)
    right = normal["label"] == labels
    expected: dict[str, float] = {}
    for name, (by, mark) in SCRIPT.items():
        count = FEW if name.startswith("cw") else COUNT
        inputs = moved(images[:count], labels[:count], by, mark)
        attacked = view.scores(inputs)
        wrong = attacked["label"] != labels[:count]
        z = view.logits(inputs)
        over = np.array([np.delete(row, y).max() - row[y] for row, y in zip(z, labels)])
        done = (over >= 10 if name == "cw_hc" else over > 0) & right[:count]
        expected[f"accuracy.{name}"] = 1 - wrong.mean()
        if done.any():
            expected[f"distortion.{name}"] = distortion(images[:count], inputs)[done].mean()
        subset = done if name == "cw_hc" else right[:count] & wrong
        expected[f"successes.{name}"] = subset.sum()
        used = np.ones(count, dtype=bool) if name.startswith("noise") else subset
        for metric in METRICS:
            held, clean, others = held_out[metric], normal[metric], attacked[metric]
            limit = threshold(held, 0.05)
            expected[f"undetected.{metric}.{name}"] = (wrong & (others >= limit)).mean()
            if used.sum() >= 2:
                each = detector(held, clean[:count][used], others[used])
                each["auc_all"] = auc_by_hand(clean, others[used])
                brief = name.endswith("@0.2")
                kept = ("auc", "auc_all", "detection_rate_5") if brief else each
                expected |= {f"{key}.{metric}.{name}": each[key] for key in kept}
        if not name.endswith("@0.2"):
            assert found.arrays[f"{name}.used"].tolist() == subset.tolist()
            for metric in METRICS:
                np.testing.assert_allclose(found.arrays[f"{name}.{metric}"], attacked[metric], rtol=1e-4, atol=1e-6)
    inputs = moved(images, labels, 0.14, 0.37)
    used = right & (view.scores(inputs)["label"] != labels)
    for factor in (0.01, 0.1, 1.0, 10.0, 100.0):
        other = ByHand(BANDWIDTHS[loss] * factor)
        clean, others = (other.scores(each[used])["k_density"] for each in (images, inputs))
        expected[f"bandwidth_auc@{factor:g}"] = auc_by_hand(clean, others)
    expected |= {"silhouette": silhouette_score(images, labels), "train_accuracy": 0.875}
    expected |= {"error_percent": 100 * 4 / 13, "accuracy": 9 / 13}  # of all thirteen test images
    rest = ("seconds_per_example.", "cross_entropy", "calibration", "std_", "variance_", "entropy_")
    same({k: v for k, v in found.metrics.items() if not k.startswith(rest)}, expected)
    for metric in METRICS:
        np.testing.assert_allclose(found.arrays[f"normal.{metric}"], normal[metric], rtol=1e-4, atol=1e-6)
    assert found.arrays["right"].tolist() == right.tolist()
    assert found.arrays["labels"].tolist() == labels.tolist()
    assert found.arrays["embedding"].shape == (COUNT, 2)


def test_detection_attacks_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    detected(monkeypatch, "ce")
    *calls, bandwidths = Move.calls
    jsma = [attack.options for attack, *_ in calls if attack.mark == 0.34]
    assert jsma == [{"max_steps": 13}] * 2
    plain, confident = calls[-2:]
    assert (plain[0].confidence, confident[0].confidence) == (0.0, 10.0)
    assert plain[0].options == confident[0].options == {"search_steps": 3, "max_iterations": 21}
    assert [len(inputs) for _, _, inputs, _ in calls] == [COUNT] * 10 + [FEW] * 2
    assert bandwidths[0].by == pytest.approx(0.14)
    for _, _, inputs, labels in Move.calls:
        assert tags_of(inputs) == {"test"}
        assert torch.equal(labels, DATA.test.labels[: len(labels)])


# --- white box -------------------------------------------------------------------------------------------------------

WHITE = {
    "images": COUNT,
    "epsilon": 0.1,
    "lead_share": 1.0,
    "search_steps": 2,
    "first_iterations": 11,
    "max_iterations": 17,
}
TARGETS = {"ce": (10.0, 0.5), "rce": (8.0, 0.3), "drs": (-10.0, 0.4)}
"""Slope and boundary of the networks that the transfer goes to, by loss; their seed is 1."""


def scripted_wb(confidence: float, **options: Any) -> Move:
    """kappa 0 moves by 0.203, a higher one by 0.35; every second image comes to lie among the training images."""
    by, mark = (0.203, 0.3) if confidence == 0.0 else (0.35, 0.4)
    return Move(by=by, mark=mark, home=True, confidence=confidence, options=options)


def network_of(values: Mapping[str, Any]) -> Line:
    return Line(*TARGETS[values["loss"]]) if values["seed"] == 1 else Line()


def attacked_in_white(monkeypatch: pytest.MonkeyPatch, loss: str) -> Any:
    monkeypatch.setattr(whitebox, "FGSM", lambda epsilon: Move(by=epsilon, mark=0.2))
    monkeypatch.setattr(whitebox, "WhiteBoxCarliniWagner", scripted_wb)
    targets = [training(other, seed=1, train_size=10) for other in TARGETS]
    context = Scripted(data=DATA, network_of=network_of)
    return whitebox.run({"network": training(loss, train_size=8), "targets": targets, **WHITE}, context)


def held_out_lead() -> float:
    """The median (of an even number, the upper one) of the lead of the true logit on validation images."""
    z, labels = ByHand(1.0).logits(pixels(DATA.validation)), DATA.validation.labels.numpy()
    leads = sorted(row[y] - np.delete(row, y).max() for row, y in zip(z, labels))
    return float(leads[len(leads) // 2])


@pytest.mark.parametrize("loss", ["ce", "rce"])
def test_the_white_box_by_hand(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = attacked_in_white(monkeypatch, loss)
    view = ByHand(BANDWIDTHS[loss])
    images, labels = pixels(DATA.test, COUNT), DATA.test.labels[:COUNT].numpy()
    held_out, normal = view.scores(pixels(DATA.validation)), view.scores(images)
    right = normal["label"] == labels
    expected: dict[str, float] = {"images": COUNT, "clean_margin_median": held_out_lead(), "train_accuracy": 0.875}

    def seen(name: str, inputs: Array) -> None:
        attacked = view.scores(inputs)
        wrong = attacked["label"] != labels
        used = right & wrong
        for metric in METRICS:
            held, others = held_out[metric], attacked[metric]
            expected[f"successes.{metric}.{name}"] = used.sum()
            expected[f"undetected.{metric}.{name}"] = (wrong & (others >= threshold(held, 0.05))).mean()
            each = detector(held, normal[metric][used], others[used])
            for key in ("auc", "auc_low", "auc_high", "detection_rate_5", "tpr_at_fpr_5"):
                expected[f"{key}.{metric}.{name}"] = each[key]

    examples = {}
    for kappa, name in ((0.0, "wb_0"), (held_out_lead(), "wb_high")):
        attack = scripted_wb(kappa)
        inputs = examples[name] = moved(images, labels, attack.by, attack.mark, home=True)
        z = view.logits(inputs)
        over = np.array([np.delete(row, y).max() - row[y] for row, y in zip(z, labels)])
        success = (over > 0) & (over >= kappa)
        done = success & right
        label = z.argmax(axis=1)
        missing = np.maximum(-view.density(inputs, label) - view.eta()[label], 0.0)
        expected[f"success.{name}"] = success.mean()
        assert name != "wb_0" or 0 < (missing[done] > 0).mean() < 1  # or it would not tell them apart
        assert 0 < done.sum() < right.sum()
        expected[f"f2_positive.{name}"] = (missing[done] > 0).mean()
        expected[f"f2_count.{name}"] = done.sum()
        expected[f"distortion.{name}"] = distortion(images, inputs)[done].mean()
        if (normal_looking := done & (missing <= 0)).any():
            expected[f"distortion_normal.{name}"] = distortion(images, inputs)[normal_looking].mean()
        seen(name, inputs)
    for other, (slope, boundary) in TARGETS.items():
        target = ByHand(BANDWIDTHS[other], slope, boundary, train_size=10)
        clean, attacked = target.scores(images), target.scores(examples["wb_0"])
        wrong = attacked["label"] != labels
        expected[f"transfer.{other}"] = wrong.mean()
        expected[f"transfer_clean.{other}"] = (clean["label"] != labels).mean()
        a, b = clean["k_density"], attacked["k_density"]
        low, high = auc_interval(a, b, paired=True)
        expected |= {f"transfer_auc.{other}": auc_by_hand(a, b)}
        expected |= {f"transfer_auc_low.{other}": low, f"transfer_auc_high.{other}": high}
        used = (clean["label"] == labels) & wrong
        if used.sum() >= 2:
            expected[f"transfer_auc_fooled.{other}"] = auc_by_hand(a[used], b[used])
    same({k: v for k, v in found.metrics.items() if not k.startswith("seconds_per_example.")}, expected)
    assert {k for k in found.metrics if k.startswith("seconds")} == {
        f"seconds_per_example.{name}" for name in ("fgsm", "wb_0", "wb_high")
    }
    shown = np.stack([images[:6], examples["wb_0"][:6], examples["wb_high"][:6]]).reshape(3, 6, 1, 1, 3)
    np.testing.assert_allclose(found.arrays["images"], shown * 255, atol=0.51)
    assert found.arrays["labels"].tolist() == labels[:6].tolist()
    predicted = [view.logits(examples[name][:6]).argmax(axis=1).tolist() for name in ("wb_0", "wb_high")]
    assert found.arrays["predicted"].tolist() == predicted


@pytest.mark.parametrize("loss", ["ce", "rce"])
def test_the_white_box_attacks_the_detector_that_is_measured(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bandwidths: list[float] = []

    def noted(sigma_squared: float) -> KDensity:
        bandwidths.append(sigma_squared)
        return KDensity(sigma_squared)

    monkeypatch.setattr(detector_module, "KDensity", noted)
    attacked_in_white(monkeypatch, loss)
    assert bandwidths == [BANDWIDTHS[name] for name in (loss, *TARGETS)]
    fgsm, plain, confident, *rest = Move.calls
    assert fgsm[0].by == 0.1
    for attack, *_ in (plain, confident):
        options = dict(attack.options or {})
        density = options.pop("density")
        assert isinstance(density, KDensity)
        assert density.bandwidth == BANDWIDTHS[loss]
        assert tags_of(torch.cat(density.examples)) == {"train"}
        assert [len(examples) for examples in density.examples] == [3, 3, 2]
        assert options.pop("progress") is False
        assert options == {"search_steps": 2, "first_iterations": 11, "max_iterations": 17}
    assert not rest
    assert plain[0].confidence == 0.0
    assert confident[0].confidence == pytest.approx(held_out_lead(), rel=1e-5)


def test_transferred_images_that_did_not_move_are_no_examples() -> None:
    """The unmoved ones, which C&W returns where it found nothing, are no part of the AUC, and none moved gives none."""
    context = Scripted(data=DATA, network_of=network_of)
    images, labels = DATA.test.first(COUNT).to_float()
    values = training("rce", seed=1, train_size=10)
    target = ByHand(BANDWIDTHS["rce"], *TARGETS["rce"], train_size=10)
    wrong = float((target.scores(pixels(DATA.test, COUNT))["label"] != labels.numpy()).mean())
    none = whitebox._transfer(context, values, images, labels, images)
    assert none == pytest.approx({"transfer.rce": wrong, "transfer_clean.rce": wrong})
    half = images.clone()
    half[:4] = 1.0 - half[:4]
    found = whitebox._transfer(context, values, images, labels, half)
    clean, moved_ = (target.scores(each[:4].reshape(-1, 3).double().numpy())["k_density"] for each in (images, half))
    assert found["transfer_auc.rce"] == auc_by_hand(clean, moved_)


# --- attackers who know the test ------------------------------------------------------------------------------------

AWARE = {"images": COUNT, "epsilons": [0.1, 0.2], "steps": 7}
BLIND = {"ce": (0.9, 0.39), "margin": (1.1, 0.4)}
"""How far each attack moves in units of its budget, and its mark, which is the third of the features."""
MADE = {"selective": (1.2, 0.41), "orthogonal": (1.5, 0.42)}
JOINT = {0.01: (1.1, 0.31), 0.1: (1.8, 0.43), 1.0: (2.03, 0.44), 10.0: (2.2, 0.45)}
FARTHER = 0.071


def attacked_by_all(monkeypatch: pytest.MonkeyPatch, loss: str) -> Any:
    """Scripted attacks; each next metric's move a little farther."""

    def made(by: float, mark: float) -> Callable[..., Move]:
        def build(epsilon: float, **options: Any) -> Move:
            watched = torch.full((1, 1, 1, 3), 0.3)
            answer = options["score"](Line(), watched).item()
            number = [score(Line(), watched).item() for score in the_scores].index(answer)
            return Move(by=(by + FARTHER * number) * epsilon, mark=mark, options={"epsilon": epsilon, **options})

        return build

    density = KDensity(BANDWIDTHS[loss])
    density.fit(DATA.train.first(8).to_float()[0].flatten(1), DATA.train.labels[:8], classes=3)
    the_scores = adaptive.score_functions(density).values()

    def blind(objective: str, epsilon: float, steps: int) -> Move:
        by, mark = BLIND[objective]
        return Move(by=by * epsilon, mark=mark, options={"epsilon": epsilon, "steps": steps})

    monkeypatch.setattr(adaptive, "PGD", blind)
    monkeypatch.setattr(adaptive, "SelectivePGD", made(*MADE["selective"]))
    monkeypatch.setattr(adaptive, "OrthogonalPGD", made(*MADE["orthogonal"]))
    monkeypatch.setattr(adaptive, "JointPGD", lambda weight, **options: made(*JOINT[weight])(**options))
    return adaptive.run({"network": training(loss, train_size=8), **AWARE}, Scripted(data=DATA))


@pytest.mark.parametrize("loss", ["ce", "rce"])
def test_what_all_attackers_get_through_by_hand(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = attacked_by_all(monkeypatch, loss)
    view = ByHand(BANDWIDTHS[loss])
    images, labels = pixels(DATA.test, COUNT), DATA.test.labels[:COUNT].numpy()
    held_out = view.scores(pixels(DATA.validation))
    limits = {metric: threshold(held_out[metric], 0.05) for metric in METRICS}

    def look(inputs: Array) -> tuple[Array, dict[str, Array]]:
        seen = view.scores(inputs)
        wrong = seen["label"] != labels
        return wrong, {metric: wrong & (seen[metric] >= limits[metric]) for metric in METRICS}

    clean_wrong, clean = look(images)
    expected = {"images": COUNT, "accuracy": 1 - clean_wrong.mean(), "train_accuracy": 0.875}
    expected |= {f"undetected.{metric}.clean": clean[metric].mean() for metric in METRICS}
    told_apart = []
    for e in (0.1, 0.2):
        every = [
            (name, m, by * e, mark) for m in METRICS for name, (by, mark) in [("blind", v) for v in BLIND.values()]
        ]
        for number, m in enumerate(METRICS):
            made = [*MADE.items(), *(("joint", v) for v in JOINT.values())]
            every += [(name, m, (by + FARTHER * number) * e, mark) for name, (by, mark) in made]
        looks = [(name, m, *look(moved(images, labels, by, mark))) for name, m, by, mark in every]
        for metric in METRICS:
            for name in ("blind", "selective", "orthogonal", "joint"):
                each = [passed[metric] for other, m, _, passed in looks if (other, m) == (name, metric)]
                expected[f"undetected.{metric}.{name}@{e:g}"] = np.any(each, axis=0).mean()
            union = np.any([clean[metric], *(passed[metric] for *_, passed in looks)], axis=0)
            expected[f"undetected.{metric}.union@{e:g}"] = union.mean()
            assert found.arrays[f"passed.{metric}@{e:g}"].tolist() == union.tolist()
            single = max(v for k, v in expected.items() if k.startswith(f"undetected.{metric}") and "union" not in k)
            told_apart.append(union.mean() > single)
        fooled = np.any([clean_wrong, *(wrong for _, _, wrong, _ in looks)], axis=0)
        expected[f"worst@{e:g}"] = 1 - fooled.mean()
        assert found.arrays[f"fooled@{e:g}"].tolist() == fooled.tolist()
    assert any(told_apart)  # the union is more than the best attack alone
    same(found.metrics, expected)


@pytest.mark.parametrize("loss", ["ce", "rce"])
def test_each_attacker_follows_the_score_that_is_measured(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attacked_by_all(monkeypatch, loss)
    images = pixels(DATA.test, COUNT)
    normal = ByHand(BANDWIDTHS[loss]).scores(images)
    assert len(Move.calls) == 2 * (2 + 3 * (2 + len(adaptive.JOINT_WEIGHTS)))
    for number, (attack, model, inputs, labels) in enumerate(Move.calls):
        options = dict(attack.options or {})
        assert (options["epsilon"], options["steps"]) == (0.1 if number < len(Move.calls) // 2 else 0.2, 7)
        assert tags_of(inputs) == {"test"}
        assert torch.equal(labels, DATA.test.labels[:COUNT])
        place = number % (len(Move.calls) // 2) - 2
        if place < 0:
            assert "score" not in options
            continue
        watched = inputs.clone().requires_grad_(True)
        values = options["score"](model, watched)
        metric = METRICS[place // (2 + len(adaptive.JOINT_WEIGHTS))]
        np.testing.assert_allclose(values.detach().numpy(), normal[metric], rtol=1e-4, atol=1e-6, err_msg=metric)
        assert torch.autograd.grad(values.sum(), watched)[0].abs().sum() > 0
