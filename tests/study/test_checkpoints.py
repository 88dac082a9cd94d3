"""Checkpoints: trained once, read back bit for bit, and named when damaged."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drs.errors import RecordError, UsageError
from drs.study import checkpoints
from drs.study.checkpoints import trained
from drs.training.loop import Training, train
from drs.training.models import ReverseLogits
from drs.training.spec import TrainingSpec
from tests.training.test_datasets_folder import write_images

CPU = torch.device("cpu")
SPEC = TrainingSpec(train_size=64, model_options={"width": 4, "depth": 1}, steps=3, batch_size=16, seed=5)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of checkpoints."""
    monkeypatch.setenv("DRS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[TrainingSpec]:
    """The specifications that were really trained."""
    asked: list[TrainingSpec] = []

    def counted(spec: TrainingSpec, *arguments: Any, **options: Any) -> Training:
        asked.append(spec)
        return train(spec, *arguments, **options)

    monkeypatch.setattr(checkpoints, "train", counted)
    return asked


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


@pytest.mark.parametrize("loss", ["ce", "drs", "rce"])
def test_the_second_call_reads_the_same_weights(
    loss: str, device: torch.device, calls: list[TrainingSpec], folder: Path
) -> None:
    spec = replace(SPEC, loss=loss)
    first = trained(spec, device)
    second = trained(spec, device)
    assert calls == [spec]
    assert len(files(folder)) == 1
    assert not list(folder.glob("*.tmp"))
    assert (first.loss, first.accuracy) == (second.loss, second.accuracy)
    assert first.loss > 0
    assert first.network is not second.network
    one, other = first.network.state_dict(), second.network.state_dict()
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
        assert other[name].device.type == device.type
    assert not second.network.training
    images = torch.rand(5, 1, 28, 28, device=device, generator=torch.Generator(device).manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(first.network(images), second.network(images), rtol=0, atol=0)


def test_a_network_of_the_reverse_loss_comes_back_negated() -> None:
    spec = replace(SPEC, loss="rce")
    for training in (trained(spec, CPU), trained(spec, CPU)):
        assert isinstance(training.network, ReverseLogits)
        images = torch.rand(3, 1, 28, 28)
        with torch.no_grad():
            assert torch.equal(training.network(images), -training.network.model(images))
    assert not isinstance(trained(SPEC, CPU).network, ReverseLogits)


def test_what_decides_the_network_decides_the_file(
    calls: list[TrainingSpec], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [SPEC, replace(SPEC, seed=6), replace(SPEC, steps=4), replace(SPEC, loss="drs")]
    for spec in [*specs, *specs]:
        trained(spec, CPU)
    assert calls == specs
    assert len(files(folder)) == 4
    monkeypatch.setattr(checkpoints, "TRAINING_VERSION", checkpoints.TRAINING_VERSION + 1)
    trained(SPEC, CPU)
    assert calls == [*specs, SPEC]


def test_whoever_asks_at_the_same_time_waits_for_the_one_that_trains(calls: list[TrainingSpec], folder: Path) -> None:
    found: list[Training] = []
    together = threading.Barrier(4)

    def ask() -> None:
        together.wait()
        found.append(trained(SPEC, CPU))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [SPEC]
    assert len(found) == 4
    weights = [training.network.state_dict()["classifier.weight"] for training in found]
    assert all(torch.equal(weights[0], other) for other in weights)
    assert len(files(folder)) == 1


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "one byte short": lambda whole: whole[:-1],
    "not one": lambda whole: b"\x80\x04]\x94." * 100,
    "other names": lambda whole: whole.replace(b"classifier.weight", b"classifier.wealth"),
    "no numbers": lambda whole: whole.replace(b'"accuracy"', b'"accurate"'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_not_trained_over(
    damage: str, calls: list[TrainingSpec], folder: Path
) -> None:
    trained(SPEC, CPU)
    (path,) = files(folder)
    whole = path.read_bytes()
    assert DAMAGE[damage](whole) != whole
    path.write_bytes(DAMAGE[damage](whole))
    with pytest.raises(RecordError, match=r"is damaged: .*delete it and run again") as caught:
        trained(SPEC, CPU)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == DAMAGE[damage](whole)
    path.unlink()
    trained(SPEC, CPU)
    assert calls == [SPEC, SPEC]
    trained(SPEC, CPU)
    assert calls == [SPEC, SPEC]


def test_no_flipped_bit_is_used(folder: Path, calls: list[TrainingSpec]) -> None:
    """300 single bits over the whole file, header and weights: each is refused by name."""
    trained(SPEC, CPU)
    (path,) = files(folder)
    whole = path.read_bytes()
    draw = random.Random(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in [*draw.sample(range(8 * header), 100), *draw.sample(range(8 * header, 8 * len(whole)), 200)]:
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(RecordError, match=r"is damaged: .*delete it and run again"):
            trained(SPEC, CPU)
    path.write_bytes(whole)
    trained(SPEC, CPU)
    assert calls == [SPEC]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(unfinished: Path, path: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match=r"^cannot write the checkpoint .*: .*No space left on device"):
        trained(SPEC, CPU)
    assert [path.suffix for path in folder.iterdir()] == [".lock"]


def test_changed_images_get_a_network_of_their_own(tmp_path: Path, calls: list[TrainingSpec]) -> None:
    own = tmp_path / "own"
    write_images(own, ["a", "b"], 40, size=(8, 8))
    spec = replace(SPEC, dataset=f"folder:{own}", train_size=None)
    first = trained(spec, CPU)
    own.rename(tmp_path / "moved")
    again = trained(replace(spec, dataset=f"folder:{tmp_path / 'moved'}"), CPU)
    assert (len(calls), again.loss) == (1, first.loss)
    (tmp_path / "moved").rename(own)
    for path in (own / "a").iterdir():
        path.write_bytes((own / "b" / path.name).read_bytes())
    changed = trained(spec, CPU)
    assert len(calls) == 2
    assert changed.loss != first.loss


def test_a_training_that_fails_leaves_no_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="expected at least one batch of 128 training images, got 64"):
        trained(replace(SPEC, batch_size=128), CPU)

    def out_of_memory(*_: object, **__: object) -> Training:
        raise MemoryError

    monkeypatch.setattr(checkpoints, "train", out_of_memory)
    with pytest.raises(MemoryError):
        trained(SPEC, CPU)
    assert files(folder) == []
    monkeypatch.undo()


def test_a_file_in_place_of_the_folder_is_one_sentence(folder: Path) -> None:
    folder.write_text("not a folder")
    with pytest.raises(UsageError, match=r"^cannot write the checkpoint .*checkpoints"):
        trained(SPEC, CPU)
    assert folder.read_text() == "not a folder"
