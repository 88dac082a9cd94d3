"""Names of numbers: every name of every committed record, its parts, its label, and who takes names apart."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from drs.errors import UsageError
from drs.paths import project_root
from drs.study import metrics
from drs.study.metrics import DETECTORS, KINDS, Metric, column, columns, label

NAMES = sorted(
    {
        name
        for path in (project_root() / "data" / "results").glob("*/*/*.json")
        for name in json.loads(path.read_text())["metrics"]
    }
)


def test_every_committed_name_is_parsed_and_printed_as_it_is() -> None:
    assert len(NAMES) > 1300
    for name in NAMES:
        assert str(Metric.parse(name)) == name
        metric = Metric.parse(name)
        parts = (metric.head, metric.detector, metric.attack, metric.loss, metric.budget)
        head, detector, attack, loss, budget = parts
        assert column(head, detector=detector, attack=attack, loss=loss, budget=budget) == name
        assert metric.label, name
        assert not re.search(r"[_{}]", metric.label), name


@pytest.mark.parametrize(
    ("name", "metric", "said"),
    [
        ("worst@0.05", Metric("worst", budget=0.05), "worst case, 0.05"),
        ("worst_area", Metric("worst", part="area"), "area under the worst case"),
        ("worst@0", Metric("worst", budget=0.0), "worst case, 0"),
        ("accuracy", Metric("accuracy"), "clean accuracy"),
        ("accuracy@0.001", Metric("accuracy", budget=0.001), "accuracy under C&W, constant, 0.001"),
        ("accuracy@1000", Metric("accuracy", budget=1000.0), "accuracy under C&W, constant, 1000"),
        ("accuracy.cw", Metric("accuracy", attack="cw"), "accuracy under C&W"),
        ("label", Metric("label"), "label"),
        ("fooled", Metric("fooled"), "fooled images"),
        ("std_logits_mean", Metric("std_logits", part="mean"), "std of false logits"),
        ("entropy_logits_median", Metric("entropy_logits", part="median"), "entropy of false classes, median"),
        ("std_probabilities@0.05", Metric("std_probabilities", budget=0.05), "std of false probabilities, 0.05"),
        ("margin_restarts_5", Metric("margin_restarts", number=5), "PGD, margin, 5 restarts"),
        ("temperature_0.1", Metric("temperature", number=0.1), "PGD, temperature 0.1"),
        ("square_only@0.1", Metric("square", part="only", budget=0.1), "only Square, 0.1"),
        ("float32", Metric("float32"), "PGD in float32"),
        (
            "auc_low.k_density.bim@0.1",
            Metric("auc", part="low", detector="k_density", attack="bim", budget=0.1),
            "AUC of K-density, BIM, 0.1, lower end",
        ),
        (
            "detection_rate_5.non_me.cw_hc",
            Metric("detection_rate", number=5, detector="non_me", attack="cw_hc"),
            "C&W-hc",
        ),
        ("f2_positive.wb_high", Metric("f2_positive", attack="wb_high"), "high kappa: f2 > 0"),
        (
            "undetected.k_density.wb_0",
            Metric("undetected", detector="k_density", attack="wb_0"),
            "kappa 0: wrong and accepted",
        ),
        (
            "undetected.k_density.jsma@0.1",
            Metric("undetected", detector="k_density", attack="jsma", budget=0.1),
            "JSMA",
        ),
        ("distortion.cw", Metric("distortion", attack="cw"), "C&W distortion"),
        ("distortion.wb_high", Metric("distortion", attack="wb_high"), "high kappa: distortion"),
        ("seconds_per_example.wb_0", Metric("seconds_per_example", attack="wb_0"), "C&W-wb, kappa 0, s"),
        ("transfer_auc_fooled.rce", Metric("transfer_auc", part="fooled", loss="rce"), "to RCE: AUC, fooled only"),
        ("transfer.ce", Metric("transfer", loss="ce"), "to CE: wrong on examples"),
        ("transfer@0.1", Metric("transfer", budget=0.1), "transfer, 0.1"),
        ("slope.label_smoothing", Metric("slope", loss="label_smoothing"), "exponent, label smoothing"),
        ("bandwidth_auc@100", Metric("bandwidth_auc", budget=100.0), "AUC, bandwidth times, 100"),
    ],
)
def test_parts_and_label(name: str, metric: Metric, said: str) -> None:
    assert Metric.parse(name) == metric
    assert (str(metric), metric.label, label(name)) == (name, said, said)


def test_repr_says_what_is_not_empty() -> None:
    said = "Metric('auc', part='low', detector='k_density', attack='bim', budget=0.1)"
    assert repr(Metric.parse("auc_low.k_density.bim@0.1")) == said


@pytest.mark.parametrize(
    "name",
    [
        "glamour@0.1",
        "auc",
        "auc.bim@0.1",
        "auc.loudness.bim@0.1",
        "auc.k_density.bim.cw",
        "auc.k_density.bim@0.10",
        "pgd_mean@0.1",
        "pgd@",
        "pgd@x",
        "temperature",
        "std_logits_rises_5",
        "network.seed",
        "_mean",
        "",
    ],
)
def test_a_name_that_is_no_metric_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"^unknown metric '.*': add its form, label and tolerance to drs"):
        Metric.parse(name)
    assert label(name) == name


def test_what_no_record_can_have_is_not_built() -> None:
    with pytest.raises(UsageError, match=r"^unknown metric 'auc.loudness.bim@0.1'"):
        Metric("auc", detector="loudness", attack="bim", budget=0.1)
    with pytest.raises(UsageError, match=r"^unknown metric 'auc_some.k_density.bim'"):
        column("auc_some", detector="k_density", attack="bim")


def test_columns_of_a_frame_come_by_budget_and_others_are_left_out() -> None:
    names = ["pgd@0.2", "network.loss", "pgd@0.05", "accuracy", "pgd@0.1", "accuracy.cw", "accuracy.bim@0.1", "auc.x"]
    frame = pd.DataFrame([[0.0] * len(names)], columns=names)
    assert list(columns(frame, "pgd")) == ["pgd@0.05", "pgd@0.1", "pgd@0.2"]
    assert [metric.budget for metric in columns(frame, "pgd").values()] == [0.05, 0.1, 0.2]
    assert list(columns(frame, "accuracy")) == ["accuracy", "accuracy.cw", "accuracy.bim@0.1"]
    assert list(columns(frame, "accuracy", attack="")) == ["accuracy"]
    assert list(columns(frame, "accuracy", attack="bim")) == ["accuracy.bim@0.1"]
    rates = {f"{rate}.{detector}.bim@0.1": 0.5 for rate in ("auc", "auc_low") for detector in DETECTORS}
    assert list(columns(rates, "auc_low", detector="non_me")) == ["auc_low.non_me.bim@0.1"]
    assert len(columns(rates, "auc")) == 3
    curve = ["margin_steps_100", "margin_steps_10", "ce_steps_50", "margin@0.1", "transfer.ce", "transfer@0.1"]
    assert [metric.number for metric in columns(curve, "margin_steps").values()] == [10, 100]
    assert list(columns(curve, "margin_steps_10")) == ["margin_steps_10"]
    assert list(columns(curve, "transfer", loss="ce")) == ["transfer.ce"]


def test_every_form_is_in_one_kind() -> None:
    forms = [form for kind in KINDS for form in kind.labels]
    assert len(forms) == len(set(forms))


def test_importing_metrics_is_light() -> None:
    heavy = "{'torch', 'numpy', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, drs.study.metrics; print(sorted({heavy}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


APART = re.compile(
    r"""split\("@"|partition\("@"|endswith\(f?"@|"@" (not )?in|removesuffix\("_(mean|median)"\)"""
    r"""|startswith\(\(?f?"(auc|accuracy|undetected|pgd|worst)[.@]|\.split\("\.", \d\)|"\.joint@" in"""
)


def test_nobody_else_takes_a_name_apart() -> None:
    root = Path(metrics.__file__).parents[1]
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if APART.search(path.read_text()) and path.name != "metrics.py"
    }
    assert found == set()
