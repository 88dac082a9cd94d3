"""What one assignment hands to the next, the variants of a class, and which cells the grader leaves out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from drs.classroom import OPEN, assignment_names, masters_folder
from drs.classroom import carried as c
from drs.classroom.identity import Roster
from drs.classroom.variants import VARIANTS, variant, write_variants
from drs.training.models import Network, build_model


def network(seed: int = 5) -> Network:
    return build_model("small_conv", channels=1, classes=10, seed=seed).eval()


def test_a_number_gives_one_variant_whatever_its_spaces_and_case() -> None:
    assert [variant(n).name for n in ("1", "3", "s1001", "S 1001", "")] == ["A", "C", "B", "B", "A"]
    assert str(variant("3")) == "variant C: penalty weight 0.1, epsilon 0.08, seed 2"


def test_a_class_gets_its_table_of_variants(tmp_path: Path) -> None:
    (tmp_path / "class.csv").write_text("name,id\nAda,3\nAlan,s1001\n")
    write_variants(Roster.read(tmp_path / "class.csv"), tmp_path / "variants.csv")
    with (tmp_path / "variants.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["student", "number", "variant", "weight", "epsilon", "seed"],
            ["Ada", "3", "C", "0.1", "0.08", "2"],
            ["Alan", "s1001", "B", "0.03", "0.1", "1"],
        ]


def test_a_network_comes_back_bit_for_bit(tmp_path: Path) -> None:
    kept = network()
    c.keep_network(kept, VARIANTS[1], tmp_path)
    found, whose = c.your_network(VARIANTS[1], folder=tmp_path)
    assert whose == "your network, from a1_network.safetensors"
    assert not found.training
    same = zip(kept.state_dict().values(), found.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), "there is no a1_network.safetensors beside this notebook"),
        (lambda path: path.write_bytes(b"no"), "a1_network.safetensors cannot be read"),
        (
            lambda path: c.keep_network(network(), VARIANTS[2], path.parent),
            "a1_network.safetensors was made for variant C, not B",
        ),
        (
            lambda path: c._save({"x": torch.zeros(1)}, path, {"variant": "B"}),
            "a1_network.safetensors holds another kind of network",
        ),
    ],
)
def test_what_cannot_be_taken_is_replaced_and_says_why(
    damage: object, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reference:
        network = "the reference"

    monkeypatch.setattr(c, "trained", lambda spec, device: Reference)
    damage(c.keep_network(network(), VARIANTS[1], tmp_path))  # type: ignore[operator]
    found, whose = c.your_network(VARIANTS[1], folder=tmp_path)
    assert str(found) == "the reference"
    assert whose.startswith(f"the reference's network: {why}"), whose


def test_images_and_threshold_belong_to_one_network(tmp_path: Path) -> None:
    mine, other = network(), network(6)
    images, labels = torch.full((4, 1, 28, 28), 0.5), torch.arange(4)
    moved = images + 0.1
    c.keep_images(moved, mine, VARIANTS[1], tmp_path)
    c.keep_threshold(1.25, mine, VARIANTS[1], tmp_path)
    found, whose = c.your_images(mine, images, labels, VARIANTS[1], folder=tmp_path)
    assert torch.equal(found, moved)
    assert whose == "your attacked images, from a2_attacked.safetensors"
    limit, whose = c.your_threshold(mine, images, VARIANTS[1], folder=tmp_path)
    assert (limit, whose) == (1.25, "your threshold, from a3_detector.safetensors")
    found, whose = c.your_images(other, images, labels, VARIANTS[1], folder=tmp_path)
    assert whose == "the library's attacked images: a2_attacked.safetensors was made for another network"
    assert 0.09 < float((found - images).abs().max()) <= 0.1 + 1e-6
    _, whose = c.your_threshold(other, images, VARIANTS[1], folder=tmp_path)
    assert whose == "the library's threshold: a3_detector.safetensors was made for another network"


def test_images_that_break_their_budget_are_not_taken(tmp_path: Path) -> None:
    mine, images = network(), torch.full((4, 1, 28, 28), 0.5)
    for moved in (images + 0.2, images * float("nan")):
        c.keep_images(moved, mine, VARIANTS[1], tmp_path)
        _, whose = c.your_images(mine, images, torch.arange(4), VARIANTS[1], folder=tmp_path)
        assert whose == "the library's attacked images: a2_attacked.safetensors breaks the budget 0.1"


@pytest.mark.parametrize("name", assignment_names())
def test_each_assignment_ends_with_a_prediction_a_plot_and_a_question(name: str) -> None:
    cells = json.loads((masters_folder() / f"{name}.ipynb").read_text())["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    start = next(i for i, (_, text) in enumerate(texts) if text.startswith("## Open part: "))
    part = texts[start:]
    assert sum("**What do you expect?**" in text for _, text in part) == 1
    assert sum("**A question to think about.**" in text for _, text in part) == 1
    assert sum(text.count("plt.show()") for _, text in part) == 1
    assert all(text.startswith(OPEN) for kind, text in part if kind == "code")
    assert [text for _, text in part if "BEGIN QUESTION" in text] == []
    assert sum(text.count("variant(NUMBER)") for _, text in part) == 1
