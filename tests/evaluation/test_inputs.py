"""Models and images of a stranger: each form loads, and each wrong one is a sentence. And the command."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from drs.errors import DataError, UsageError
from drs.evaluation import stages
from drs.evaluation.audit_report import Audit
from drs.evaluation.inputs import load_folder, load_model, parse_epsilon
from drs.training.models import build_model
from tests.conftest import Command

MODULE = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, images):
        bright = self.scale * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-bright, bright], dim=1)

class Rounded(Mean):
    def forward(self, images):
        return super().forward((images * 4).round() / 4)

def fails():
    raise ValueError("no weights here")

def number():
    return 3
"""


class Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, images: Tensor) -> Tensor:
        bright = self.scale * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-bright, bright], dim=1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a module of models, and ten images of two classes, dark and bright."""
    (tmp_path / "their_models.py").write_text(MODULE)
    draw = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(5):
            level = 100 + 55 * label + draw.integers(-8, 8)  # mean 0.36 to 0.42, and 0.58 to 0.64
            Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(tmp_path / "own" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "QUERIES", (100,))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "their_models", raising=False)
    return tmp_path


def saved(place: Path, form: str) -> str:
    """A model in one of the forms; what the command line gets."""
    if form == "module":
        return "their_models:Mean"
    if form == "TorchScript":
        torch.jit.trace(Mean(), torch.rand(2, 3, 8, 8)).save(str(place / "model.pt"))
        return "model.pt"
    if form == "exported":
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(Mean(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=({0: batch},))
        torch.export.save(program, place / "model.pt2")
        return "model.pt2"
    save_file(Mean().state_dict(), place / "model.safetensors")
    return "model.safetensors"


FORMS = ("module", "TorchScript", "exported", "weights")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_audited_and_is_the_same_network(form: str, place: Path, drs: Command) -> None:
    extra = ("--architecture", "their_models:Mean") if form == "weights" else ()
    words = (
        saved(place, form),
        *extra,
        "--data",
        "folder:own",
        "--epsilon",
        "0.101",
        "--device",
        "cpu",
        "--out",
        "new",
    )
    status, out, err = drs("audit", *words, "--out", "new")
    found = Audit.load(place / "new" / "audit.json")
    gaps = sum(abs(np.asarray(Image.open(path)).mean() / 255 - 0.5) > 0.101 for path in place.glob("own/*/*.png"))
    assert (found.clean.count, found.worst.count, found.worst.total) == (10, gaps, 10)
    assert 0 < gaps < 10
    assert (status, err) == (0, "")
    assert found.model == words[0]
    assert out.splitlines()[0].startswith(f"Audit of {words[0]}: 10 examples, linf epsilon 0.101, ")
    assert out.splitlines()[-1] == f"wrote {Path('new') / 'audit.html'}"


def test_a_fired_alarm_is_status_1(place: Path, drs: Command) -> None:
    status, out, _ = drs(
        *("audit", "their_models:Rounded", "--data", "folder:own", "--epsilon", "8/255", "--device", "cpu")
    )
    assert status == 1
    assert "upper bound, not trustworthy" in out
    assert "zero gradients" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("their_models:nothing", "model 'their_models:nothing' cannot be made: AttributeError: "),
        ("their_models:fails", "model 'their_models:fails' cannot be made: ValueError: no weights here"),
        ("their_models:number", "expected 'their_models:number' to return a torch.nn.Module, got int"),
        ("no_such_module:net", "model 'no_such_module:net' cannot be made: ModuleNotFoundError: "),
        ("nothing.pt", "expected a model as package.module:function, a TorchScript file (.pt, .ts), "),
        ("pickled.pt", "expected a model as package.module:function, a TorchScript file (.pt, .ts), "),
        ("broken.pt2", "cannot read broken.pt2 as an exported program: "),
        ("broken.safetensors", "expected --architecture with broken.safetensors: small_conv, mlp, lenet, resnet, "),
        ("broken.safetensors --architecture mlp", "cannot read broken.safetensors as safetensors: "),
        ("broken.safetensors --architecture vgg", "unknown architecture 'vgg': expected one of small_conv, mlp, "),
        ("other.safetensors --architecture mlp", "the weights of other.safetensors do not fit architecture 'mlp': "),
        ("their_models:Mean --architecture mlp", "expected --architecture with a file of weights"),
        ("their_models:Mean --epsilon eight", "expected epsilon as a number or a fraction such as 8/255, got 'eight'"),
        ("their_models:Mean --epsilon 0", "expected epsilon > 0, got 0"),
        ("their_models:Mean --norm l3", "unknown norm 'l3': expected one of l2, linf"),
        ("their_models:Mean --minutes 0", "expected minutes > 0, got 0"),
        ("their_models:Mean --images 0", "expected --images >= 1, got 0"),
        ("their_models:Mean --size 0", "expected --size >= 1, got 0"),
        ("their_models:Mean --data own", "expected --data folder:PATH, got 'own'"),
        ("their_models:Mean --data folder:/no/where", "data set 'folder:/no/where': expected a folder at /no/where"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(words: str, sentence: str, place: Path, drs: Command) -> None:
    torch.save(Mean(), place / "pickled.pt")
    for name in ("broken.pt2", "broken.safetensors"):
        (place / name).write_bytes(b"not what it says")
    save_file({"weight": torch.zeros(2)}, place / "other.safetensors")
    given = words.split()
    given += [] if "--epsilon" in given else ["--epsilon", "8/255"]
    given += [] if "--data" in given else ["--data", "folder:own"]
    status, out, err = drs("audit", *given, "--device", "cpu")
    assert (status, out) == (2, "")
    assert err.startswith(f"drs: {sentence}")
    assert len(err.splitlines()) == 1


def test_nothing_is_unpickled(place: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.mkdir, ("sprung",))

    torch.save(Trap(), place / "trap.pt")
    with pytest.raises(UsageError, match=r"a file of torch\.save is never read"):
        load_model("trap.pt")
    saved(place, "exported")
    with zipfile.ZipFile(place / "model.pt2") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sample = next(name for name in parts if "sample_inputs" in name)
    opaque = sample.rsplit("/", 2)[0] + "/constants/opaque_obj_0"
    trap = (place / "trap.pt").read_bytes()
    for number, changed in enumerate(({sample: trap}, {opaque: b""})):
        with zipfile.ZipFile(place / f"trap{number}.pt2", "w") as archive:
            for name, content in (parts | changed).items():
                archive.writestr(name, content)
        with pytest.raises(UsageError, match=f"trap{number}.pt2"):
            load_model(f"trap{number}.pt2")
    assert not (place / "sprung").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_weights_of_an_architecture_of_this_library(place: Path) -> None:
    network = build_model("mlp", channels=3, classes=2, seed=3, size=8)
    save_file(network.state_dict(), place / "mlp.safetensors")
    loaded = load_model("mlp.safetensors", architecture="mlp", classes=2, channels=3, size=8)
    images = torch.rand(4, 3, 8, 8)
    assert torch.equal(loaded(images), network(images))


def test_epsilon_is_a_number_or_a_fraction() -> None:
    assert parse_epsilon("8/255") == pytest.approx(8 / 255, rel=1e-15)
    assert parse_epsilon("0.03") == 0.03
    for wrong in ("8/0", "", "-1", "1/255/2", "nan"):
        with pytest.raises(UsageError, match="expected epsilon"):
            parse_epsilon(wrong)


def test_a_folder_is_read_mixed_and_resized(place: Path) -> None:
    images, labels, classes = load_folder("folder:own", images=4)
    assert classes == ("dark", "light")
    assert sorted(labels.tolist()) == [0, 0, 1, 1]
    assert images.shape == (4, 3, 8, 8)
    assert torch.equal(images.flatten(1).mean(dim=1) > 0.5, labels == 1)
    larger, again, _ = load_folder("folder:own", images=4, size=(12, 12))
    assert torch.equal(again, labels)
    torch.testing.assert_close(larger[:, :, 0, 0], images[:, :, 0, 0])  # each image is of one colour
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(place / "own" / "dark" / "z.png")
    with pytest.raises(DataError, match=r"pixels, got .* give --size$"):
        load_folder("folder:own")


def test_test_images_are_taken_where_there_are_splits(place: Path) -> None:
    (place / "split").mkdir()
    (place / "own").rename(place / "split" / "train")
    for name, level in (("dark", 0), ("light", 255)):
        (place / "split" / "test" / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(place / "split" / "test" / name / "0.png")
    images, labels, _ = load_folder("folder:split")
    assert torch.equal(images[:, 0, 0, 0], labels.float())
