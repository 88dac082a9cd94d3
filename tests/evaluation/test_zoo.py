"""Every broken defence and every broken attack is caught by the alarm that names its cause; healthy ones by none.

The defences go through the command, as a stranger's would: a module, a folder of images, the status and the record.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from drs._seeding import seeded
from drs.attacks import PGD
from drs.errors import UsageError
from drs.evaluation import sanity, stages
from drs.evaluation.attack_audit import audit_attack
from drs.evaluation.attack_report import ATTACK_CHECKS
from drs.evaluation.audit_report import Audit
from drs.evaluation.broken_attacks import FAULTS, pgd
from drs.evaluation.zoo import DEFENCES
from drs.study.experiments.zoo import fine_tuned
from drs.training.datasets import Dataset
from tests.conftest import Command
from tests.evaluation.masked import tiny

EPSILON = 0.05
SMALL = {"QUERIES": (50,), "APGD_STEPS": 5, "STEP_CURVE": (5, 10), "RESTARTS": 2, "FRACTIONS": (0.5,), "DRAWS": 2}
"""Numbers of an audit at which most defences of the zoo are still caught by the alarm that names them."""
LARGER = {"QUERIES": (100,), "APGD_STEPS": 10, "STEP_CURVE": (10, 20)}
"""What the others need more, besides a convolutional network."""
ON_LARGER = ("k-WTA", "logits x 100", "one step")
MODULE = """
from pathlib import Path

from safetensors.torch import load_file

from drs.evaluation.zoo import DEFENCES
from drs.training.models import build_model
from tests.evaluation.masked import tiny


def make():
    network = build_model("small_conv", channels=1, classes=10, seed=0) if {larger} else tiny()
    network.load_state_dict(load_file(Path(__file__).with_name("weights.safetensors")))
    return DEFENCES[{name!r}].wrap(network.eval()) if {name!r} in DEFENCES else network
"""


@pytest.fixture(scope="module", autouse=True)
def small_audits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(stages, name, value)
        patch.setattr(sanity, "TEMPERATURES", (1.0, 100.0))
        for module in (sanity, stages):
            patch.setattr(module, "DISTANCE_STEPS", 10)
        yield


@pytest.fixture(scope="module")
def network(mnist5k: Dataset) -> nn.Module:
    """One small network for the whole file, about nine of ten digits right."""
    with seeded(0, torch.device("cpu")):
        plain = tiny()
    return fine_tuned(plain, *mnist5k.train.to_float(), 100, seed=0, batch=64)


@pytest.fixture(scope="module")
def data(digits: Dataset) -> tuple[Tensor, Tensor]:
    """Six images of each digit."""
    images, labels = digits.test.to_float()
    rows = torch.cat([(labels == digit).nonzero().squeeze(1)[:6] for digit in range(10)])
    return images[rows], labels[rows]


@pytest.fixture(scope="module")
def folder(data: tuple[Tensor, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """These images as files, one folder for each digit."""
    root = tmp_path_factory.mktemp("digits")
    for number, (image, label) in enumerate(zip(*data)):
        (root / str(int(label))).mkdir(exist_ok=True)
        pixels = (255.0 * image[0]).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(root / str(int(label)) / f"{number}.png")
    return root


@pytest.mark.parametrize("name", ["healthy", *DEFENCES])
def test_the_command_catches_each_defence_by_name(
    name: str,
    network: nn.Module,
    trained: nn.Module,
    folder: Path,
    mnist5k: Dataset,
    drs: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, larger = DEFENCES.get(name), name in ON_LARGER
    if larger:
        network = copy.deepcopy(trained)
        for number, value in LARGER.items():
            monkeypatch.setattr(stages, number, value)
    if known is not None and known.tuned:
        network = fine_tuned(known.wrap(network), *mnist5k.train.to_float(), 60, seed=0, batch=64)
    module = f"zoo_{list(DEFENCES).index(name) if known else 'healthy'}"
    (tmp_path / f"{module}.py").write_text(MODULE.format(name=name, larger=larger))
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "weights.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    options = ("--grey", "--epsilon", str(EPSILON), "--minutes", "100", "--device", "cpu", "--out", "report")
    status, _, err = drs("audit", f"{module}:make", "--data", f"folder:{folder}", *options)
    if known is not None and known.refused:
        assert status == 2
        assert known.refused in err
        return
    fired = {alarm.name for alarm in Audit.load(tmp_path / "report" / "audit.json").fired}
    if known is None:
        assert (status, fired) == (0, set())
    else:
        assert set(known.caught_by) <= fired, fired
        assert status == 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_name(
    name: str, network: nn.Module, trained: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    network = trained if name in ON_LARGER else network
    found = {a.name for a in audit_attack(FAULTS[name].make(EPSILON), network, *data, epsilon=EPSILON).fired}
    assert found - {"weaker than a plain attack"} == set(FAULTS[name].caught_by)


@pytest.mark.parametrize("attack", [pgd(EPSILON), PGD(epsilon=EPSILON)])
def test_a_healthy_attack_raises_nothing(attack: PGD, network: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    found = audit_attack(attack, network, *data, epsilon=EPSILON, name="healthy")
    assert found.fired == ()
    assert [(alarm.name, alarm.kind) for alarm in found.alarms] == [(name, "attack") for name in ATTACK_CHECKS]
    assert json.loads(found.to_json())["attack"] == "healthy"
    assert "alarms: 0 of 10 fired" in repr(found)


def test_what_is_no_image_is_refused(network: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UsageError, match="returns images of shape"):
        audit_attack(lambda model, x, y: x[:1], network, *data, epsilon=EPSILON)
    below = audit_attack(lambda model, x, y: x - 0.01, network, *data, epsilon=EPSILON)
    assert "leaves the pixel range" in {alarm.name for alarm in below.fired}
