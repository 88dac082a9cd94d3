"""The figures of the RCE chapters, on frames and records made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from drs.pages.figures import rce, style
from drs.study.metrics import DETECTORS
from drs.study.records import Record, Run

NAN = float("nan")


def record(loss: str, metrics: dict[str, float], **arrays: NDArray[np.generic]) -> Record:
    run = Run("detection", 1, {"network": {"loss": loss}})
    named = {name.replace("__", "."): values for name, values in arrays.items()}
    return Record(run, "quick", metrics, 1.0, "", {}, "", "", arrays=named)


def test_exponents_are_those_of_the_bound_and_of_each_network() -> None:
    alpha = np.array([1e-4, 1e-2])
    gaps = {f"gap__{kind}": alpha * factor for kind, factor in (("ce", 1.0), ("label_smoothing", 2.0), ("rce", 3.0))}
    slopes = {"slope.ce": 1.0, "slope.label_smoothing": 1.0, "slope.rce": 2.0}
    network = record("drs", {"slope": 1.25}, alpha=np.array([0.0, *[0.5] * 200]), gap=np.full(201, 0.25))
    made = rce.exponents(record("ce", slopes, alpha=alpha, **gaps), [network])
    bound = made.frame[made.frame["panel"] == "random errors"]
    assert bound["loss"].tolist() == ["CE", "CE", "label smoothing", "label smoothing", "RCE", "RCE"]
    assert bound["largest false-class difference"].tolist() == pytest.approx([1e-4, 1e-2, 2e-4, 2e-2, 3e-4, 3e-2])
    dots = made.frame[made.frame["panel"] == "DRS network"]
    assert len(dots) == 150
    assert dots[["alpha", "exponent"]].iloc[0].tolist() == [1e-9, 1.25]  # a logarithmic axis has no 0
    left, right = made.figure.axes
    assert [line.get_label() for line in left.get_lines()] == [
        "CE: exponent 1.00",
        "label smoothing: exponent 1.00",
        "RCE: exponent 2.00",
    ]
    assert np.asarray(left.get_lines()[2].get_ydata()).tolist() == pytest.approx([3e-4, 3e-2])
    assert right.get_title() == "DRS network: 1.25"
    assert np.asarray(right.get_lines()[0].get_xdata()).tolist() == dots["alpha"].tolist()


def test_embedding_colours_points_by_class() -> None:
    points, labels = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([7, 0])
    made = rce.embedding([record("rce", {"silhouette": 0.456}, embedding=points, labels=labels)])
    assert made.frame[["x", "y", "label"]].to_numpy().tolist() == [[1.0, 2.0, 7.0], [3.0, 4.0, 0.0]]
    (axes,) = made.figure.axes
    assert axes.get_title() == "RCE, silhouette 0.46"
    dots = axes.collections[0]
    assert np.asarray(dots.get_offsets()).tolist() == points.tolist()
    assert np.asarray(dots.get_array()).tolist() == [7, 0]
    assert made.tables()[0]["caption"] == "RCE, silhouette 0.456"


DETECTION = pd.DataFrame(
    {
        "network.loss": ["ce", "ce", "rce"],
        "auc.k_density.bim@0.2": [0.5, 0.7, NAN],
        "auc.k_density.bim@0.1": [0.8, 1.0, 0.9],
        "auc_low.k_density.bim@0.1": [0.0, 0.0, 0.0],
        "auc.non_me.bim@0.1": [0.0, 0.0, 0.0],
        "accuracy@10": [0.1, 0.3, 0.5],
        "accuracy@0.01": [0.9, 0.7, 0.5],
        "rescaled@10": [NAN, NAN, 0.3],
        "accuracy": [1.0, 1.0, 1.0],
        "accuracy.bim@0.1": [0.0, 0.0, 0.0],
    }
)


def test_over_epsilon_takes_the_budgets_of_one_number_in_order() -> None:
    made = rce.over_epsilon(DETECTION, "auc", ("bim",), "AUC of K-density", detector="k_density")
    assert made.frame[["loss", "epsilon", "AUC of K-density"]].to_numpy().tolist() == [
        ["CE", 0.1, pytest.approx(0.9)],
        ["CE", 0.2, pytest.approx(0.6)],
        ["RCE", 0.1, 0.9],  # at 0.2 it has no number
    ]
    assert made.frame["to"].tolist() == [1.0, 1.0, pytest.approx(NAN, nan_ok=True)]
    (axes,) = made.figure.axes
    assert axes.get_title() == "BIM"
    ce, reverse = axes.get_lines()
    assert np.asarray(ce.get_xydata()).ravel().tolist() == pytest.approx([0.1, 0.9, 0.2, 0.6])
    assert (reverse.get_label(), reverse.get_color()) == ("RCE", style.COLOURS["rce"])


def test_constants_are_those_of_carlini_and_wagner() -> None:
    made = rce.constants(DETECTION)
    assert made.frame[["loss", "constant c", "accuracy"]].to_numpy().tolist() == [
        ["CE", 0.01, pytest.approx(0.8)],
        ["CE", 10.0, pytest.approx(0.2)],
        ["RCE", 0.01, 0.5],
        ["RCE", 10.0, 0.5],
        ["CE, logits divided", 10.0, 0.3],
    ]
    assert len(rce.constants(DETECTION.drop(columns="rescaled@10")).frame) == 4
    (axes,) = made.figure.axes
    assert axes.get_xscale() == "log"
    assert np.asarray(axes.get_lines()[0].get_ydata()).tolist() == pytest.approx([0.8, 0.2])


def scored(used: list[int], **scores: list[float]) -> dict[str, NDArray[np.generic]]:
    """Arrays of one network: three normal images, three under BIM; the same for every detector unless given."""
    arrays: dict[str, NDArray[np.generic]] = {"bim@0.1__used": np.array(used)}
    for metric in DETECTORS:
        arrays[f"normal__{metric}"] = np.array(scores.get("normal", [3.0, 2.0, 1.0]))
        arrays[f"bim@0.1__{metric}"] = np.array(scores.get("attacked", [0.5, 0.0, 2.5]))
    return arrays


def test_roc_curves_are_over_the_pairs_that_succeeded() -> None:
    made = rce.roc_curves([record("ce", {}, **scored([1, 1, 0]))], ("bim@0.1",))
    assert made.frame["detector"].unique().tolist() == list(DETECTORS.values())
    assert set(made.frame["AUC"]) == {1.0}  # 3 and 2 lie above 0.5 and 0
    assert set(made.frame["normal images kept"]) == {1.0}
    (axes,) = made.figure.axes
    assert [text.get_text() for text in made.figure.legends[0].get_texts()] == ["confidence", "non-ME", "K-density"]
    assert axes.get_xlabel() == "AUC 1.00 / 1.00 / 1.00\nattacked images kept"
    assert axes.get_ylabel() == "CE\nnormal images kept"
    assert [line.get_linestyle() for line in axes.get_lines()] == [":", "--", "-"]
    three = rce.roc_curves([record("ce", {}, **scored([1, 1, 1]))], ("bim@0.1",))
    assert three.frame["AUC"].unique().tolist() == pytest.approx([7 / 9])  # 2.5 lies above two of the normal ones
    line = three.frame[three.frame["detector"] == "non-ME"].set_index("attacked images kept")["normal images kept"]
    assert np.asarray(three.figure.axes[0].get_lines()[1].get_ydata()).tolist() == line.tolist()
    none = rce.roc_curves([record("ce", {}, **scored([1, 0, 0]))], ("bim@0.1",))
    assert len(none.frame) == 0
    assert none.tables() == []
    assert none.figure.axes[0].texts[0].get_text() == "no success"
    assert none.figure.axes[0].get_xlabel() == "\nattacked images kept"
    six = rce.roc_curves([record("ce", {}, **scored([1, 1, 1]))], ("bim@0.1",) * 6)
    assert [axes.get_xlabel() for axes in six.figure.axes] == [
        *["AUC 0.78 / 0.78 / 0.78"] * 3,
        *["AUC 0.78 / 0.78 / 0.78\nattacked images kept"] * 3,
    ]
    assert six.figure.get_size_inches()[0] <= 7.0  # the page shrinks a wider one


def test_auc_map_writes_the_mean() -> None:
    frame = pd.DataFrame(
        {"network.loss": ["ce", "ce"], "auc.k_density.cw": [0.8, 0.9], "successes.cw": [9.0, 1.0]}
        | {"auc.k_density.cw_hc": [0.7, NAN], "successes.cw_hc": [9.0, 0.0]}
    )
    made = rce.auc_map(frame, ("cw", "cw_hc"))
    assert made.frame.to_numpy().tolist() == [
        ["CE, K-density", "C&W", pytest.approx(0.85), False],
        ["CE, K-density", "C&W-hc", 0.7, True],
    ]
    axes = made.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == [".850", "(.700)"]  # ten successes and nine
    assert np.asarray(axes.collections[0].get_array()).ravel().tolist() == pytest.approx([0.85, 0.7])


def test_the_highest_cell_of_each_column_is_named_unless_it_rests_on_few() -> None:
    frame = pd.DataFrame(
        {"network.loss": ["ce", "rce"], "auc.k_density.cw": [0.8, 0.9], "successes.cw": [20.0, 9.0]}
        | {"auc.non_me.cw": [0.7, 0.95], "auc.k_density.cw_hc": [0.7, NAN], "successes.cw_hc": [9.0, 0.0]}
    )
    said = "The highest mean of each column, cells in brackets left out: C&W: CE, K-density."
    assert rce.highest(frame, ("cw", "cw_hc")) == said
    assert rce.highest(frame, ("cw_hc",)).startswith("No cell rests")
    same = frame.assign(**{"successes.cw": 20.0, "auc.k_density.cw": 0.95})
    assert rce.highest(same, ("cw",)).endswith("C&W: CE, K-density and RCE, non-ME and RCE, K-density.")


def test_shares_of_a_histogram_keep_what_lies_beyond_its_ends() -> None:
    found = rce.shares(np.array([-5.0, 0.1, 0.6, 9.0]), np.array([0.0, 0.5, 1.0]))
    assert {name: values.tolist() for name, values in found.items()} == {
        "from": [0.0, 0.5],
        "to": [0.5, 1.0],
        "share of images": [0.5, 0.5],
    }


def test_histograms_are_of_normal_images_and_of_successes() -> None:
    made = rce.histograms([record("rce", {}, **scored([1, 0, 1]))], "k_density", ("bim@0.1",))
    assert made.frame.groupby("images", sort=False)["share of images"].sum().to_dict() == pytest.approx(
        {"normal": 1.0, "BIM, 0.1": 1.0}
    )
    attacked = made.frame[made.frame["images"] == "BIM, 0.1"]
    full = attacked[attacked["share of images"] > 0]
    assert full["share of images"].tolist() == [0.5, 0.5]  # 0.5 and 2.5
    assert full["from"].iloc[0] == attacked["from"].min()  # 0.5 lies below the first percentile
    assert full["from"].iloc[1] < 2.5 < full["to"].iloc[1]
    (axes,) = made.figure.axes
    assert (axes.get_title(), axes.get_xlabel()) == ("RCE", "log K-density")
    steps = axes.patches[1].get_data()  # type: ignore[attr-defined]
    assert np.asarray(steps.values).tolist() == attacked["share of images"].tolist()
    assert np.asarray(steps.edges).tolist() == [*attacked["from"], attacked["to"].iloc[-1]]


def test_white_box_images_say_what_each_is_taken_for_and_where_the_attack_failed() -> None:
    images = np.zeros((3, 2, 1, 2, 2), dtype=np.uint8)
    images[1, 0] = 255  # kappa 0 changed the first image only
    images[2, :] = 128
    arrays = {"images": images, "labels": np.array([4, 9]), "predicted": np.array([[5, 9], [6, 3]])}
    made = rce.white_box_images(record("rce", {}, **arrays))
    assert made.frame["label"].tolist() == ["is 4", "is 9", "says 5", "says 9 (failed)", "says 6", "says 3"]
    words = [axes.get_xlabel() for axes in made.figure.axes]
    assert words == ["is 4", "is 9", "says 5", "says 9\n(failed)", "says 6", "says 3"]
    assert made.tables()[0]["rows"] == [["1", "is 4", "says 5", "says 6"], ["2", "is 9", "says 9 (failed)", "says 3"]]
