"""The experiments on stronger attacks and on cost, and the rules of their claims."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from drs.attacks import PGD, Square, TargetedPGD
from drs.losses import drs_loss
from drs.study.claims import CLAIMS
from drs.study.claims.drs import judge_cost
from drs.study.claims.evaluation import alarm_metrics, judge_alarms
from drs.study.experiments import cost, get_experiment, networks, stress
from drs.study.experiments.stress import OBJECTIVES, _Standing
from drs.study.plan import plan
from drs.study.profiles import PROFILES
from drs.study.records import Record, to_frame
from drs.study.runner import compute
from drs.training.datasets import Dataset
from drs.training.models import Network

CPU = torch.device("cpu")


# --- grids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
def test_the_stress_grid_shares_its_networks_with_the_losses(profile: str) -> None:
    scale = PROFILES[profile]
    known = [spec["network"] for spec in get_experiment("losses").specs(scale)]
    specs = get_experiment("stress").specs(scale)
    hard = ("label-smoothing", "logit-squeezing", "rce", "adversarial")
    chosen = ("ce", "drs", *(() if profile == "smoke" else hard))
    assert all(spec["network"] in known and spec["source"] in known for spec in specs)
    assert {spec["variant"] for spec in specs} == set(chosen)
    assert len(specs) == len(scale.seeds) * (2 if profile == "smoke" else 6)
    for spec in specs:
        seed = spec["network"]["seed"]
        other = "drs" if spec["variant"] == "ce" else "ce"
        assert spec["network"] == networks.variant_network(scale, scale.dataset, spec["variant"], seed).as_dict()
        assert spec["source"] == networks.variant_network(scale, scale.dataset, other, seed).as_dict()
        assert (1000 in spec["step_curve"]) == (profile == "paper")


def test_the_cost_grid_holds_every_shape_and_both_networks() -> None:
    quick, paper = (get_experiment("cost").specs(PROFILES[name]) for name in ("quick", "paper"))
    alone = [(s["batch"], s["tokens"], s["classes"]) for s in quick if s["kind"] == "loss"]
    assert alone == [(128, 1, 10), (128, 1, 100), (256, 1, 1000), (8, 128, 32000)]
    assert [s["tokens"] for s in paper if s["classes"] == 32000] == [512]
    steps = [(s["model"], s["model_options"], s["batch"]) for s in quick if s["kind"] == "training"]
    assert steps == [("small_conv", {}, 128), ("resnet", {"depth": 32}, 128)]


# --- worst cases -----------------------------------------------------------------------------------------------------


class Table(nn.Module):
    """Right (class 0) while the mean pixel is at most 0.5."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(dim=1)
        return torch.stack([torch.zeros_like(mean), mean - 0.5], dim=1)


def test_an_image_counts_as_lost_to_those_that_broke_it() -> None:
    levels = torch.tensor([0.30, 0.42, 0.47, 0.49, 0.60])
    images, labels = levels.reshape(5, 1, 1, 1).expand(5, 1, 4, 4).clone(), torch.zeros(5, dtype=torch.int64)
    state = _Standing(Table(), images, labels)  # type: ignore[arg-type]
    assert state.every.tolist() == [True, True, True, True, False]
    right = state.attack(PGD(epsilon=0.02, steps=4, objective="margin"), gradients=True)
    assert right.tolist() == [True, True, True, False, False]
    right = state.attack(PGD(epsilon=0.05, steps=4, objective="margin"), slice(3), gradients=False)
    assert right.tolist() == [True, True, False]
    assert state.white.tolist() == [True, True, True, False, False]
    assert state.every.tolist() == [True, True, False, False, False]
    # sixteen pixels moved by 0.02 lie 4 * 0.02 away; the clean mistake lies at 0
    assert state.shortest[3].item() == pytest.approx(0.08, rel=1e-3)
    assert state.shortest[4].item() == 0.0
    assert math.isinf(state.shortest[0].item())
    # the costly attack: its own outcome on the first image only, the others only where they still stand
    right = state.costly(PGD(epsilon=0.1, steps=4, objective="margin"), 1, gradients=True)
    assert right.tolist() == [True]
    assert state.every.tolist() == [True, False, False, False, False]
    assert state.white.tolist() == [True, False, True, False, False]  # the third had fallen already, to no gradient


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The smoke runs of the stress experiment, with fewer images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRS_CHECKPOINTS", str(tmp_path_factory.mktemp("checkpoints")))
        runs = [replace(r, spec={**r.spec, "images": 32, "few_images": 8}) for r in plan("stress", "smoke")]
        return [compute(run, "smoke", "cpu") for run in runs]


def test_smoke_numbers_are_consistent(records: list[Record]) -> None:
    for record in records:
        values = record.metrics
        assert (values["images"], values["square_images"]) == (32.0, 8.0)
        before = values["clean"]
        for budget in (0.03, 0.05, 0.1):
            worst, white = values[f"strong_worst@{budget:g}"], values[f"white@{budget:g}"]
            assert worst <= white <= min(values[f"{name}@{budget:g}"] for name in ("fgsm", *OBJECTIVES))
            assert worst <= min(values[f"{name}@{budget:g}"] for name in ("transfer", "noise"))
            assert worst <= before
            assert values[f"square_only@{budget:g}"] <= values[f"white_few@{budget:g}"]
            before = worst
        at_shown = [values[k] for k in values if k.startswith(("ce_steps_", "margin_steps_", "temperature_"))]
        assert values["strong_worst@0.05"] <= min(at_shown)
        assert values["margin_restarts_2"] <= values["margin_restarts_1"]
        assert values["float64_difference"] == abs(values["float32"] - values["float64"])
        assert values["repeat_difference"] == 0.0
        # every share is a whole number of images
        assert all((v * 32) % 1 == 0 for k, v in values.items() if k.startswith(("ce@", "white@", "strong", "noise")))


def test_the_worst_case_is_that_of_attacks_run_by_hand(trained: Network, digits: Dataset) -> None:
    images, labels = digits.test.first(16).to_float()
    spec = {**plan("stress", "smoke")[0].spec, "few_images": 16, "budgets": [0.08], "draws": 1}
    spec |= {"queries": 30, "ddn_steps": 5}
    values = stress.measure(trained, trained, images, labels, spec).metrics
    broken = torch.zeros(16, dtype=torch.bool)
    for name in OBJECTIVES:
        broken |= PGD(epsilon=0.08, steps=5, objective=name, keep="last")(trained, images, labels).success
    targeted = TargetedPGD(epsilon=0.08, steps=5, keep="last")(trained, images, labels).success
    assert values["targeted@0.08"] == 1 - targeted.float().mean().item()
    broken |= targeted
    # FGSM, noise and transfer from itself (the same margin attack) can only add to it
    assert values["white@0.08"] <= 1 - broken.float().mean().item()
    square = Square(epsilon=0.08, queries=30)(trained, images, labels).success
    assert values["square@0.08"] == 1 - square.float().mean().item()
    assert values["transfer@0.08"] == values["margin@0.08"]
    assert values["transfer_only@0.08"] == 0.0


# --- cost ------------------------------------------------------------------------------------------------------------


def test_the_reference_implementation_is_the_same_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 5, (7,), generator=generator)
    torch.testing.assert_close(cost.naive_drs(logits, target), drs_loss(logits, target))
    found, expected = (torch.autograd.grad(loss(logits, target), logits) for loss in (cost.naive_drs, drs_loss))
    torch.testing.assert_close(found, expected)


def test_contenders_take_turns_and_the_first_round_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    clock = iter(range(100))
    monkeypatch.setattr(time, "process_time", lambda: float(next(clock)))
    works: dict[str, cost.Work] = {name: lambda name=name: order.append(name) for name in ("ce", "drs")}  # type: ignore[misc]
    times = cost.in_turns(works, 3, CPU)
    assert order == ["ce", "drs", "drs", "ce", "ce", "drs", "drs", "ce"]
    assert times == {"ce": [1.0] * 3, "drs": [1.0] * 3}


def test_ratios_are_those_of_neighbours() -> None:
    found = cost.ratio_metrics({"ce": [1.0, 2.0, 4.0], "drs": [1.1, 2.2, 8.0]}, "drs")
    assert found["drs_ratio"] == pytest.approx(1.1)
    assert found["drs_ratio_low"] == pytest.approx(1.1)
    assert found["drs_ratio_high"] == pytest.approx(2.0)
    assert cost.ratio_metrics({"ce": [2.0] * 9, "drs": [3.0] * 9}, "drs") == {
        "drs_ratio": 1.5,
        "drs_ratio_low": 1.5,
        "drs_ratio_high": 1.5,
    }


def test_bytes_kept_for_the_backward_pass_are_counted_once() -> None:
    x = torch.ones(100, requires_grad=True)

    def work() -> None:
        square = x.exp()  # kept: its own 400 bytes
        (square * square).sum()  # the same 400 bytes, twice

    assert cost.memory(work, CPU) == 400.0
    y = torch.ones(50, requires_grad=True)

    def squared() -> None:
        (y * y).sum()

    assert cost.memory(squared, CPU) == 200.0
    assert cost.memory(squared, CPU, (y,)) == 0.0


def test_every_cost_run_of_smoke() -> None:
    frame = to_frame([compute(run, "smoke", "cpu") for run in plan("cost", "smoke")])
    assert list(frame["kind"]) == ["loss"] * 4 + ["training"] * 2
    assert bool((frame["drs_ratio_low"] <= frame["drs_ratio"]).all() & (frame["drs_ratio"] > 0).all())
    alone = frame[frame["kind"] == "loss"]
    assert bool((alone["naive_ratio"].notna() == alone["naive"].astype(bool)).all())
    # the penalty keeps nothing of the logits' size beyond what is there
    assert alone["memory_ratio"].iloc[-1] < 1.01
    assert bool((frame["memory_ratio"].iloc[-2:] < 1.01).all())


# --- the rules -------------------------------------------------------------------------------------------------------


def timings(small: tuple[float, float, float], large: tuple[float, float, float]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [{"kind": "loss", "model": np.nan, "drs_ratio": 9.0, "drs_ratio_high": 9.0}]
    for model, (low, middle, high) in (("small_conv", small), ("resnet", large)):
        interval = {"drs_ratio": middle, "drs_ratio_low": low, "drs_ratio_high": high}
        rows.append({"kind": "training", "model": model, "repetitions": 12, **interval})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("small", "large", "verdict", "estimate"),
    [
        ((1.10, 1.01, 1.20), (0.99, 1.00, 1.04), "reproduced", 1.00),  # the small network does not count
        ((0.99, 1.01, 1.03), (1.00, 1.04, 1.06), "undecided", 1.04),
        ((0.99, 1.01, 1.02), (1.06, 1.07, 1.08), "not reproduced", 1.07),
    ],
)
def test_the_rule_of_cost(small: Any, large: Any, verdict: str, estimate: float) -> None:
    judged = judge_cost(timings(small, large))
    assert (judged.verdict, judged.estimate, judged.n) == (verdict, estimate, 12)
    assert judged.low <= judged.estimate <= judged.high
    assert "SmallConvNet 1.01" in judged.detail


def test_cost_without_both_networks_is_no_verdict() -> None:
    frame = timings((1, 1, 1), (1, 1, 1))
    assert judge_cost(frame[frame["model"] != "resnet"]).verdict == "no records"


def attacked(ce: list[float], drs: list[float], **more: float) -> pd.DataFrame:
    rows = [
        {"variant": name, "network.seed": seed, "images": 300, "strong_worst@0.05": value, **more}
        for name, values in (("ce", ce), ("drs", drs), ("rce", [0.9] * len(ce)))
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # the order of the rows does not matter


@pytest.mark.parametrize(
    ("largest", "verdict", "estimate"),
    [
        ([0.0, 0.0, 0.0], "reproduced", 1.0),
        ([0.0, 0.5, 0.0], "partly reproduced", 2 / 3),
        ([0.5, 0.5, 0.5], "not reproduced", 0.0),
    ],
)
def test_the_rule_of_alarms(largest: list[float], verdict: str, estimate: float) -> None:
    frame = attacked([0.1] * 3, [0.3] * 3, zero_gradient_share=0.0).sort_values(["variant", "network.seed"])
    frame["largest_budget"] = 0.9  # the other variants' alarms do not count
    frame.loc[frame["variant"] == "drs", "largest_budget"] = largest
    judged = judge_alarms(frame)
    assert (judged.verdict, judged.n) == (verdict, 3)
    assert judged.estimate == pytest.approx(estimate)
    count = sum(value > 0.1 for value in largest)
    assert judged.detail == ("alarms: none fired" if not count else f"alarms: large budget survives on {count}")
    assert 0.0 <= judged.low <= judged.estimate <= judged.high <= 1.0


def test_a_diverged_network_is_not_a_quiet_one() -> None:
    frame = attacked([0.1], [math.nan])
    assert judge_alarms(frame).verdict == "no records"


def test_missing_numbers_are_no_numbers() -> None:
    row = {"variant": "drs", "images": 300, "naive": True, "a": 0.5, "b": math.nan, "c": math.inf, "utc": None}
    assert alarm_metrics(row) == {"images": 300.0, "a": 0.5, "c": math.inf}


def test_the_claims_are_registered_with_their_experiments_and_chapters() -> None:
    found = {claim_id: (CLAIMS[claim_id].experiment, CLAIMS[claim_id].notebook) for claim_id in ("A4a", "C2", "C3")}
    assert found == {
        "A4a": ("cost", "notebooks/08_cost"),
        "C2": ("architectures", "notebooks/13_stronger_attacks"),
        "C3": ("stress", "notebooks/13_stronger_attacks"),
    }


def test_an_alarm_about_one_attack_is_said_and_does_not_count() -> None:
    frame = attacked([0.1] * 3, [0.3] * 3, **{"ce@0.05": 0.9, "margin@0.05": 0.1, "largest_budget": 0.0})
    judged = judge_alarms(frame)
    assert (judged.verdict, judged.estimate) == ("reproduced", 1.0)
    assert judged.detail == "alarms: cross-entropy misleads (one attack) on 3"
