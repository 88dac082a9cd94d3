"""The gate of the claims: which networks count, from which records their training is known, and what it does."""

from __future__ import annotations

from typing import Any

import pytest

from drs.study.claims import finding, gate, get_claim
from drs.study.claims.base import Judgement
from drs.study.claims.gate import LEAST, gated, untrained
from drs.study.records import Record, Run

HAIR = 1e-6


def record(loss: str, accuracy: float | None, seed: int = 0, *, variant: str = "", **network: Any) -> Record:
    trained = {"loss": loss, "model": "small_conv", "model_options": {}, "seed": seed} | network
    spec = {"network": trained} | ({"variant": variant} if variant else {})
    metrics = {} if accuracy is None else {"train_accuracy": accuracy}
    return Record(Run("some", 1, spec), "quick", metrics, 1.0, "CPU", {}, "0", "now", {})


def test_the_gate_stands_at_its_number() -> None:
    assert LEAST == 0.98
    assert untrained([record("ce", LEAST)], ("ce",), []) == ""
    assert untrained([record("ce", LEAST - HAIR)], ("ce",), []) != ""


def test_the_sentence_counts_and_names() -> None:
    every = [record("rce", 0.9551, 0), record("rce", 0.9613, 1), record("rce", 0.99, 2), record("ce", 0.9, 0)]
    assert untrained(every, ("rce",), []) == (
        "2 RCE networks ended training at an accuracy of 0.955 to 0.961, below 0.98"
    )
    assert untrained(every, ("ce", "rce"), []).endswith(
        "; 1 CE network ended training at an accuracy of 0.900, below 0.98"
    )


def test_only_the_first_architecture_and_the_named_variants_count() -> None:
    other = record("ce", 0.5, model="resnet")
    assert untrained([record("ce", 0.99), other], ("ce",), []) == ""
    assert untrained([other, record("ce", 0.5)], ("ce",), []).startswith("1 CE network ended")  # now it is the first
    variants = [record("drs", 0.99, variant="drs"), record("drs", 0.1, variant="weight-64")]
    assert untrained(variants, ("drs",), []) == ""
    assert untrained(variants, ("weight-64",), []) != ""


def test_a_network_is_known_by_its_specification_from_other_records() -> None:
    silent = [record("rce", None, seed=3)]
    assert untrained(silent, ("rce",), [record("rce", 0.5, seed=4)]) == ""
    assert untrained(silent, ("rce",), [record("rce", 0.5, seed=3)]) != ""


def test_a_claim_whose_networks_did_not_finish_is_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    class Known:
        def records(self, experiment: str, profile: str, *, dataset: str | None = None) -> list[Record]:
            return [record("rce", 0.5)] if experiment == "detection" else []

    monkeypatch.setattr(gate, "Results", Known)
    judged = Judgement("reproduced", 0.3, 0.2, 0.4, 3, "the numbers")
    found = gated(get_claim("B1"), judged, "quick", None)
    assert (found.verdict, found.estimate) == ("not tested", 0.3)
    assert found.detail.endswith("below 0.98; the numbers")
    assert gated(get_claim("C4"), judged, "quick", None) is judged  # it compares CE with DRS
    assert gated(get_claim("B6"), judged, "quick", None) is judged  # a time
    nothing = Judgement("no records", 0.0, 0.0, 0.0, 0, "not run")
    assert gated(get_claim("B1"), nothing, "quick", None) is nothing


def test_the_committed_networks_of_quick_have_finished() -> None:
    assert {
        c: finding(c, "quick").judgement.verdict
        for c in ("A3", "B3b", "C2", "C4")
        if finding(c, "quick").judgement.verdict == "not tested"
    } == {}
