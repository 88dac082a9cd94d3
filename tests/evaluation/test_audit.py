"""An audit: its numbers in a closed form, the headline under each kind of alarm, the record, and the page."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import drs
from drs.errors import RecordError, UsageError
from drs.evaluation import stages
from drs.evaluation.alarms import CHECKS
from drs.evaluation.audit import audit
from drs.evaluation.audit_page import page
from drs.evaluation.audit_report import NEEDED, Audit
from drs.evaluation.passes import Counted
from drs.training.datasets import Dataset
from tests.evaluation.masked import Linear, Loud, Quantised


class Threshold(nn.Module):
    """Two classes: the first pixel against 0.5. Under L-inf budget e an image falls exactly if it is within e of it."""

    def forward(self, images: Tensor) -> Tensor:
        gap = images.flatten(1)[:, 0] - 0.5
        return torch.stack([gap, -gap], dim=1)


@pytest.fixture(scope="module", autouse=True)
def few_queries() -> Iterator[None]:
    """Square asks 200 times and APGD takes 20 steps: seconds instead of half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "QUERIES", (200, 100))
        patch.setattr(stages, "APGD_STEPS", 20)
        yield


@pytest.fixture(scope="module")
def row() -> tuple[Tensor, Tensor]:
    """Eight images with gaps of 0.05 to 0.4, all of class 0, and one that the network gets wrong as it is."""
    images = torch.full((9, 1, 4, 4), 0.5)
    images[:8, 0, 0, 0] = 0.5 + torch.linspace(0.05, 0.4, 8)
    images[8, 0, 0, 0] = 0.2
    return images, torch.zeros(9, dtype=torch.int64)


@pytest.fixture(scope="module")
def plain(row: tuple[Tensor, Tensor]) -> Audit:
    return audit(Threshold(), *row, epsilon=0.13, minutes=1, name="<a & b>")


def test_a_network_with_a_closed_form(plain: Audit) -> None:
    assert (plain.clean.count, plain.worst.count, plain.worst.total) == (8, 6, 9)
    assert plain.trust == "ok"
    assert plain.headline == f"robust accuracy at most {plain.worst}"
    assert [a.name for a in plain.fired] == []
    assert plain.felled_by == ("one step", "one step", "", "", "", "", "", "", "clean")
    first = plain.lines[0]
    assert (first.name, first.attacked, first.fooled, first.accuracy) == ("one step", 8, 2, plain.worst)
    by_budget = [(round(p.at, 6), p.accuracy.count) for p in plain.curves["epsilon, margin"]]
    assert by_budget == [(0.0, 8), (0.0325, 8), (0.065, 7), (0.13, 6), (0.26, 3)]
    assert [(p.at, p.accuracy.count) for p in plain.curves["restarts"]] == [(float(n), 6) for n in range(1, 6)]
    assert {alarm.name for alarm in plain.alarms} == {c.name for c in CHECKS} - {"transfer wins"}
    assert plain.left_out == {}
    assert drs.audit is audit


def test_passes_are_counted() -> None:
    model = Counted(Threshold())
    images = torch.rand(5, 4, requires_grad=True)
    model(images).sum().backward()
    with torch.no_grad():
        model(images[:2])
    assert (model.passes.forward, model.passes.backward) == (7, 5)
    assert torch.equal(images.grad[:, 1:], torch.zeros(5, 3)) if images.grad is not None else False


def test_one_step_costs_what_it_costs(plain: Audit) -> None:
    """8 images: the look of the front door, one step with its gradient, the judgement."""
    assert (plain.lines[0].forward, plain.lines[0].backward) == (24, 8)
    assert plain.forward > sum(line.forward for line in plain.lines)


@pytest.fixture(scope="module")
def data(digits: Dataset) -> tuple[Tensor, Tensor]:
    return digits.test.first(30).to_float()


@pytest.fixture(scope="module")
def linear(mnist5k: Dataset) -> Linear:
    return Linear(*mnist5k.train.to_float())


def names(found: Audit) -> set[str]:
    return {alarm.name for alarm in found.fired}


def test_a_healthy_network_raises_none(linear: Linear, data: tuple[Tensor, Tensor]) -> None:
    found = audit(linear, *data, epsilon=0.05, minutes=1)
    assert names(found) == set()
    assert found.worst.value < found.clean.value


def test_masked_networks_raise_alarms_and_lose_their_headline(linear: Linear, data: tuple[Tensor, Tensor]) -> None:
    loud = audit(Loud(linear), *data, epsilon=0.05, minutes=1)
    assert {"zero gradients", "cross-entropy misleads"} <= names(loud)
    assert (loud.trust, loud.headline) == ("not trustworthy", "upper bound, not trustworthy")
    quantised = audit(Quantised(linear), *data, epsilon=0.05, minutes=1)
    assert {"zero gradients", "large budget survives"} <= names(quantised)
    assert quantised.headline == "upper bound, not trustworthy"


class Noisy(Threshold):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 0.3 * torch.randn(len(images), 1) * torch.tensor([1.0, -1.0])


class Coupled(Threshold):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - images.mean(dim=0) + 0.5)


class Purifying(Threshold):
    def forward(self, images: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = images.detach().clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad((moved - 0.5).square().sum(), moved)
        return super().forward(images - 0.1 * gradient)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Noisy(), {"randomised", "labels change"}),
        (Coupled(), {"batch matters"}),
        (Purifying(), {"optimises inside"}),
    ],
)
def test_new_alarms_on_the_networks_they_are_for(
    model: nn.Module, expected: set[str], row: tuple[Tensor, Tensor]
) -> None:
    found = audit(model, *row, epsilon=0.05, minutes=1)
    assert expected <= names(found)
    assert found.trust == "not trustworthy"


def test_without_time_nothing_is_claimed_and_what_was_left_out_is_said(row: tuple[Tensor, Tensor]) -> None:
    found = audit(Threshold(), *row, epsilon=0.13, minutes=1e-9)
    assert found.lines == ()
    assert found.trust == "not measured"
    assert "PGD on the margin" in found.left_out
    assert re.fullmatch(r"about \d+ s were needed and 0 s were left", found.left_out["PGD on the margin"])
    assert found.clean.count == 8


class Stopped(Threshold):
    """At its pass number ``last`` the time of the battery is over."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.last, self.over = 0, -1, list[stages.Battery]()

    def forward(self, images: Tensor) -> Tensor:
        self.seen += 1
        if self.seen == self.last:
            self.over[0].deadline = self.over[0].model.deadline = -1.0
        return super().forward(images)


def test_an_attack_that_runs_at_the_deadline_is_cut_and_keeps_its_finished_batches(row: tuple[Tensor, Tensor]) -> None:
    """The first batch of two falls to one step; the time is over in the second one, after its look and its step."""

    def run(last: int) -> stages.Battery:
        model, (images, labels) = Stopped(), row
        options = {"epsilon": 0.13, "norm": "linf", "seed": 0, "batch_size": 2, "device": None}
        battery = stages.Battery(Counted(model), images, labels, **options, deadline=math.inf)  # type: ignore[arg-type]
        model.over, model.last = [battery], last
        battery.run()
        return battery

    clean, each = 1 + 5, 3  # the front door and five batches; one step with its look and its judgement
    cut = run(clean + each + 2)
    assert [one.name for one in cut.ran] == ["one step, cut short"]
    assert (cut.ran[0].fooled, cut.ran[0].right) == (2, None)
    assert cut.felled_by == ["one step", "one step", *[""] * 6, "clean"]
    assert cut.white.tolist() == cut.standing.tolist() == [False, False, *[True] * 6, False]
    assert cut.left_out["one step"] == "cut short after 0 s, when the time was over"
    assert cut.left_out["PGD on the margin"].endswith(" s were needed and 0 s were left")
    whole = run(-1)
    assert whole.left_out == {}
    assert whole.ran[0].name == "one step"


def test_where_time_is_tight_a_short_attack_comes_first_and_the_main_ones_drop_what_fell(
    row: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, plain: Audit
) -> None:
    monkeypatch.setattr(stages, "TIGHT", 0.0)
    found = audit(Threshold(), *row, epsilon=0.13, minutes=1)
    assert [line.name for line in found.lines[:4]] == ["short APGD", "one step", *NEEDED]
    assert found.lines[0].attack.startswith("APGD(epsilon=0.13, norm='linf', steps=10, ")
    assert [line.attack.split("(")[0] for line in found.lines[2:4]] == ["APGD", "APGD"]
    assert (found.worst, found.trust) == (plain.worst, "ok")
    assert found.felled_by == ("short APGD", "short APGD", *[""] * 6, "clean")
    assert found.left_out == {"silent success": "the main attacks were those that stop where they succeed"}
    # the front door, the attack's own look, the start, the steps (two images fall in the first), the judgement
    assert (found.lines[0].forward, found.lines[0].backward) == (8 + 8 + 8 + 8 + 9 * 6 + 8, 8 + 8 + 8 * 6)
    assert "short APGD" not in {line.name for line in plain.lines}


def test_the_steps_of_the_short_attack_fit_into_a_third_of_the_time(
    row: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 24 forward passes a look of 8 images, 5 steps need 168: 16.8 s if one takes a tenth of a second."""
    monkeypatch.setattr(stages.Battery, "seconds_for", lambda _, units: 0.1 * units)
    images, labels = row
    options = {"epsilon": 0.13, "norm": "linf", "seed": 0, "batch_size": 250, "device": None}
    for seconds, steps in ((80.0, 5), (30.0, 2), (1.0, 1)):
        battery = stages.Battery(Counted(Threshold()), images, labels, **options, deadline=math.inf)  # type: ignore[arg-type]
        battery._clean()
        battery.deadline = time.perf_counter() + seconds
        battery._plan()
        battery._short()
        assert (battery.tight, battery.batch_size) == (True, 8)
        assert f"steps={steps}," in battery.ran[0].attack
        assert battery.ran[0].fooled == 2


class Slower(Threshold):
    """From the 25th pass on, in the first PGD, each takes 0.3 s: far more than was expected."""

    seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += 1
        if self.seen >= 25:
            time.sleep(0.3)
        return super().forward(images)


def test_the_deadline_holds_within_a_pass(row: tuple[Tensor, Tensor]) -> None:
    found = audit(Slower(), *row, epsilon=0.13, minutes=0.03)
    assert 1.75 < found.seconds < 4.0  # of 1.8 s; its 20 steps alone would take 6
    assert "left out: PGD on the margin (cut short after " in repr(found)
    assert (found.trust, found.lines[-1].name) == ("not finished", "one step")


def test_what_is_needed_begins_even_where_it_is_not_expected_to_fit(
    row: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages.Battery, "_affordable", lambda *_: False)
    found = audit(Threshold(), *row, epsilon=0.13, minutes=1)
    assert [line.name for line in found.lines] == [*NEEDED, "black box"]
    assert found.worst.count == 6


def test_what_came_before_counts_where_it_is_given(row: tuple[Tensor, Tensor]) -> None:
    found = audit(Threshold(), *row, epsilon=0.13, minutes=1, started=time.perf_counter() - 100.0)
    assert found.lines == ()
    assert found.seconds > 100.0


def test_l2_has_the_same_closed_form_and_says_that_square_has_none(row: tuple[Tensor, Tensor], plain: Audit) -> None:
    """The network looks at one pixel, so the two balls reach equally far."""
    found = audit(Threshold(), *row, epsilon=0.13, norm="l2", minutes=1)
    assert (found.clean, found.worst) == (plain.clean, plain.worst)
    assert found.left_out["black box"] == "Square has no form in l2"
    assert found.headline == f"robust accuracy at most {plain.worst}, with 2 of {len(CHECKS) - 1} checks not made"


def test_alarms_about_one_objective_or_convergence_are_told_from_those_about_gradients(plain: Audit) -> None:
    def firing(name: str) -> Audit:
        alarms = tuple(replace(alarm, fired=alarm.name == name) for alarm in plain.alarms)
        return replace(plain, alarms=alarms)

    assert firing("cross-entropy misleads").trust == "ok"
    short = replace(plain, lines=plain.lines[:1])
    assert (short.lines[0].name, short.trust) == ("one step", "not finished")
    bound = f"robust accuracy at most {plain.worst}"
    assert short.headline == f"{bound}, by short attacks alone: give the audit more minutes"
    assert firing("steps not converged").headline == "upper bound, not converged"
    assert firing("silent success").headline == "upper bound, not trustworthy"
    assert "Next: Double the steps" in repr(firing("steps not converged"))


def test_other_bounds_are_the_same_problem(row: tuple[Tensor, Tensor], plain: Audit) -> None:
    class Wide(Threshold):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward((images + 1) / 2)

    images, labels = row
    found = audit(Wide(), 2 * images - 1, labels, epsilon=0.13, bounds=(-1.0, 1.0), minutes=1)
    assert (found.clean, found.worst) == (plain.clean, plain.worst)


def test_the_record_comes_back_as_it_was(plain: Audit, tmp_path: Path) -> None:
    assert plain.save(tmp_path / "new" / "report") == tmp_path / "new" / "report" / "audit.html"
    assert Audit.load(tmp_path / "new" / "report" / "audit.json") == plain
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(RecordError, match=r"cannot read .*torn\.json as the record of an audit"):
        Audit.load(tmp_path / "torn.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="expected a folder that can be written"):
        plain.save(tmp_path / "file")


class Reader(HTMLParser):
    """Open tags, in order; fails where a tag is closed that is not the last opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_escaped_and_asks_for_nothing(plain: Audit) -> None:
    text = page(plain)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not [a for _, a in reader.seen if {"src", "href", "xlink:href"} & set(a)]
    assert "url(" not in text
    assert "http" not in text
    assert "<a & b>" not in text
    assert "<h1>Audit of &lt;a &amp; b&gt;</h1>" in text
    assert all(a.get("scope") in ("col", "row") for tag, a in reader.seen if tag == "th")
    drawn = [a["aria-label"] or "" for tag, a in reader.seen if tag == "svg"]
    assert len(drawn) == 3
    assert "0.667 at 0.13" in drawn[0]
    assert "Robust accuracy at most 0.667" in text
    alarmed = replace(plain, alarms=tuple(replace(alarm, fired=True) for alarm in plain.alarms))
    told = page(alarmed)
    assert "Upper bound, not trustworthy" in told
    assert "obust accuracy at most" not in told
    assert told.count("Next step.") == len(plain.alarms)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epsilon": 0.0}, "expected epsilon > 0, got 0"),
        ({"minutes": 0.0}, "expected minutes > 0, got 0"),
        ({"norm": "l1"}, "unknown norm 'l1': expected one of l2, linf"),
        ({"batch_size": 0}, "expected batch_size >= 1, got 0"),
        ({"bounds": (1.0, 0.0)}, r"expected bounds \(low, high\) with low < high"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, object], sentence: str, row: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UsageError, match=sentence):
        audit(Threshold(), *row, **({"epsilon": 0.1} | options))  # type: ignore[arg-type]


def test_models_and_images_that_do_not_fit_are_one_sentence(row: tuple[Tensor, Tensor]) -> None:
    images, labels = row
    with pytest.raises(UsageError, match=r"the model fails on a batch of shape \(8, 1, 4, 4\): .*mat1 and mat2"):
        audit(nn.Linear(3, 2), images, labels, epsilon=0.1)
    with pytest.raises(UsageError, match="got probabilities"):
        audit(nn.Sequential(Threshold(), nn.Softmax(dim=1)), images, labels, epsilon=0.1)
    with pytest.raises(UsageError, match=r"expected labels in \[0, 1\], got 5"):
        audit(Threshold(), images, labels + 5, epsilon=0.1)
    with pytest.raises(UsageError, match=r"expected pixels in \[0, 1\]"):
        audit(Threshold(), images + 1, labels, epsilon=0.1)
    with pytest.raises(UsageError, match="expected at least one example, got none"):
        audit(Threshold(), images[:0], labels[:0], epsilon=0.1)


def test_double_precision_is_measured_too(row: tuple[Tensor, Tensor], plain: Audit) -> None:
    images, labels = row
    found = audit(Threshold().double(), images.double(), labels, epsilon=0.13, minutes=1)
    assert (found.worst, found.trust, found.left_out) == (plain.worst, "ok", {})


class Particular(Threshold):
    """Takes no batch of two: what it raises is its own affair."""

    def forward(self, images: Tensor) -> Tensor:
        if len(images) == 2:
            raise LookupError("two images")
        return super().forward(images)


def test_whatever_a_model_raises_costs_one_stage(row: tuple[Tensor, Tensor]) -> None:
    found = audit(Particular(), *row, epsilon=0.13, minutes=1)
    assert found.left_out
    assert set(found.left_out.values()) == {"it failed on this model: two images"}
    assert found.clean.count == 8


def test_an_infinite_distance_is_json_and_comes_back(plain: Audit, tmp_path: Path) -> None:
    def none(name: str) -> object:
        raise AssertionError(name)

    alarms = (replace(plain.alarms[0], value=0.5, limit=math.inf), *plain.alarms[1:])
    infinite = replace(plain, alarms=alarms)
    infinite.save(tmp_path)
    text = (tmp_path / "audit.json").read_text()
    assert json.loads(text, parse_constant=none)["alarms"][0]["limit"] is None
    assert Audit.load(tmp_path / "audit.json") == infinite
