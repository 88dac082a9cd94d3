"""The figures of the DRS chapters, on frames made by hand: what the frame says and what is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drs.pages.figures import drs, style
from drs.study.experiments.networks import variants
from drs.study.records import Record, Run

NAN = float("nan")


def lines(axes: object) -> dict[str, list[list[float]]]:
    return {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}  # type: ignore[attr-defined]


def test_one_image_shows_the_softmax_of_every_class_under_every_attack() -> None:
    softmax = np.full((4, 10), 0.05)
    softmax[:, 7] = 0.55
    softmax[3, 7], softmax[3, 2] = 0.05, 0.55  # PGD succeeds
    arrays = {"images": np.zeros((4, 1, 2, 2), dtype=np.uint8), "probabilities": softmax}
    record = Record(Run("anatomy", 1, {}), "quick", {"label": 7.0}, 1.0, "", {}, "", "", arrays=arrays)
    made = drs.one_image(record)
    table = made.frame.pivot(index="class", columns="image", values="softmax")
    assert table["clean"].tolist() == softmax[0].tolist()
    assert table.loc[[2, 7], "PGD-20"].tolist() == [0.55, 0.05]
    bars = made.figure.axes[4:]
    assert [bar.get_height() for bar in bars[3].containers[0]] == softmax[3].tolist()
    assert [axes.get_xlabel() for axes in bars] == ["says 7 (55%)"] * 3 + ["says 2 (55%)"]
    colours = [bar.get_facecolor() for bar in bars[0].patches]
    assert [colours.index(colour) for colour in colours] == [0] * 7 + [7] + [0] * 2  # the true class has its own


def test_false_class_shift_starts_at_the_clean_numbers() -> None:
    frame = pd.DataFrame(
        {
            "network.loss": ["ce", "drs"],
            "accuracy": [0.9, 0.8],
            "std_probabilities_before": [0.01, 0.02],
            "pgd@0.1": [0.5, 0.6],
            "std_probabilities@0.1": [0.2, 0.1],
        }
    )
    made = drs.false_class_shift(frame)
    assert made.frame.to_numpy().tolist() == [
        ["CE", 0.0, 0.9, 0.01],
        ["CE", 0.1, 0.5, 0.2],
        ["DRS", 0.0, 0.8, 0.02],
        ["DRS", 0.1, 0.6, 0.1],
    ]
    left, right = made.figure.axes
    assert lines(left) == {"CE": [[0.0, 0.9], [0.1, 0.5]], "DRS": [[0.0, 0.8], [0.1, 0.6]]}
    assert lines(right) == {"CE": [[0.0, 0.01], [0.1, 0.2]], "DRS": [[0.0, 0.02], [0.1, 0.1]]}


def test_curve_draws_means_and_intervals() -> None:
    rows = [
        {"variant": v, "worst@0": 1.0, "worst@0.1": base + s / 10, "pgd@0.1": base}
        for v, base in (("ce", 0.2), ("drs", 0.6))
        for s in (-1, 0, 1)
    ]
    made = drs.curve(pd.DataFrame(rows), ("ce", "drs"), ("pgd", "worst"))
    # three seeds 0.1, 0.2, 0.3: mean 0.2, t(2, 0.975) = 4.303 times 0.1 over the root of 3
    worst = made.frame[(made.frame["attack"] == "worst case") & (made.frame["epsilon"] == 0.1)].set_index("loss")
    assert worst["accuracy"].to_dict() == pytest.approx({"CE": 0.2, "DRS": 0.6})
    assert worst["to"].to_dict() == pytest.approx({"CE": 0.2 + 0.2484, "DRS": 0.6 + 0.2484}, abs=1e-4)
    assert worst.loc["CE", "from"] == 0.0  # accuracy has no less
    left, right = made.figure.axes
    assert lines(right) == {
        "CE": [[0.0, 1.0], [0.1, pytest.approx(0.2)]],
        "DRS": [[0.0, 1.0], [0.1, pytest.approx(0.6)]],
    }
    assert [line.get_color() for line in left.get_lines()] == [style.COLOURS["ce"], style.COLOURS["drs"]]
    band = right.collections[0].get_paths()[0].vertices
    assert sorted(set(np.round(np.asarray(band)[:, 1], 4))) == [0.0, 0.4484, 1.0]
    assert [table["caption"] for table in made.tables()] == [
        "PGD-20: accuracy against epsilon",
        "worst case: accuracy against epsilon",
    ]


def test_a_loss_that_diverged_or_was_not_run_is_left_out() -> None:
    rows = pd.DataFrame({"variant": ["ce", "drs"], "worst@0": [1.0, NAN], "worst@0.1": [0.5, NAN]})
    made = drs.curve(rows, ("ce", "drs", "rce"), ("worst",))
    assert set(made.frame["loss"]) == {"CE"}
    assert list(lines(made.figure.axes[0])) == ["CE"]
    assert len(made.figure.axes[0].collections) == 0  # a single seed has no band


def test_every_variant_of_the_experiment_is_in_one_of_the_groups() -> None:
    assert {name for names in drs.ABLATIONS.values() for name in names} == set(variants())


def test_every_variant_has_a_name_of_its_own_and_a_meaning() -> None:
    assert set(drs.VARIANTS) == set(variants())
    names, meanings = zip(*drs.VARIANTS.values())
    assert len(set(names)) == len(names)
    assert all(meanings)
    assert {name: drs.named(name) for name in ("ce", "adversarial", "gce", "mine")} == {
        "ce": "CE", "adversarial": "adversarial training", "gce": "GCE", "mine": "mine",
    }  # fmt: skip


def test_ablations_draw_mean_interval_and_seeds() -> None:
    rows = [("ce", 0.1), ("ce", 0.3), ("drs", 0.5), ("std", NAN)]
    frame = pd.DataFrame(rows, columns=["variant", "worst_area"])
    made = drs.ablations(frame, {"losses": ("ce", "drs", "rce"), "form": ("std",)})
    # two values: mean 0.2, t(1, 0.975) = 12.706 times 0.1
    first, second = made.frame.to_dict("records")
    assert first == {
        "group": "losses",
        "variant": "CE",
        "area under the worst case": pytest.approx(0.2),
        "from": pytest.approx(0.2 - 1.2706, abs=1e-3),
        "to": pytest.approx(0.2 + 1.2706, abs=1e-3),
        "seeds": (0.1, 0.3),
    }
    assert (second["variant"], second["area under the worst case"], second["seeds"]) == ("DRS", 0.5, (0.5,))
    (axes,) = made.figure.axes  # the other group was not run
    assert [label.get_text() for label in axes.get_yticklabels()] == ["CE", "DRS"]
    other = drs.ablations(frame.assign(variant="top-3"), {"form": ("top-3",)})
    assert [label.get_text() for label in other.figure.axes[0].get_yticklabels()] == ["DRS, top 3"]
    assert other.frame["variant"].tolist() == ["DRS, top 3"]
    drawn = [np.asarray(line.get_xdata(), dtype=float) for line in axes.get_lines()]
    references, interval, seeds, mean = drawn[:2], drawn[2], drawn[3], drawn[4]
    assert [reference[0] for reference in references] == pytest.approx([0.2, 0.5])
    assert interval == pytest.approx([first["from"], first["to"]])
    assert list(seeds) == [0.1, 0.3]
    assert mean == pytest.approx([0.2])
    assert len(drawn) == 7  # a single seed has no interval
