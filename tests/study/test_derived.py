"""What follows from arrays: the order of noise and attacks, over the examples that fooled the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from drs.study.derived import derived
from drs.study.records import Record, Run
from drs.study.results import Results


def record(experiment: str, **arrays: Any) -> Record:
    named = {name.replace("__", "@0.1."): np.asarray(values) for name, values in arrays.items()}
    return Record(Run(experiment, 1, {}), "quick", {}, 1.0, "CPU", {}, "0", "now", named)


ARRAYS: Mapping[str, Any] = {
    "noise__k_density": [3.0, 1.0],
    "noise__used": [True, True],
    "bim__k_density": [0.0, 2.0, 9.0],
    "bim__used": [True, True, False],
    "fgsm__k_density": [5.0],
    "fgsm__used": [False],
    "bim__non_me": [1.0, 1.0, 1.0],  # noise has no such score: nothing to compare with
}


def test_noise_is_ranked_against_what_fooled_the_network() -> None:
    found = derived(record("detection", **ARRAYS))
    assert set(found) == {"noise_auc.k_density.bim@0.1", "noise_auc.k_density.fgsm@0.1"}
    assert found["noise_auc.k_density.bim@0.1"] == pytest.approx(3 / 4)  # 3 above both, 1 above one of the two
    assert math.isnan(found["noise_auc.k_density.fgsm@0.1"])


def test_other_experiments_and_records_without_arrays_have_none() -> None:
    assert derived(record("whitebox", **ARRAYS)) == {}
    assert derived(record("detection")) == {}


def test_a_frame_of_the_committed_records_has_them() -> None:
    frame = Results().frame("detection", "quick")
    values = frame.filter(like="noise_auc.k_density.bim@0.1").to_numpy(float)
    assert values.shape == (len(frame), 1)
    assert ((values > 0.5) & (values <= 1.0)).all()
