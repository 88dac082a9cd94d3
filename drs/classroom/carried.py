"""What one assignment hands to the next: a network, attacked images, a threshold, each in a small file.

The files lie beside the notebook. Where one is missing, or was made for something else, the reference's work takes its
place, and the text that comes with it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from drs.attacks import PGD
from drs.classroom.variants import Variant
from drs.detection import non_me, rejection_threshold
from drs.study.checkpoints import checksum, trained
from drs.training.models import Network, build_model
from drs.training.spec import TrainingSpec

__all__ = [
    "DETECTOR",
    "IMAGES",
    "NETWORK",
    "keep_images",
    "keep_network",
    "keep_threshold",
    "your_images",
    "your_network",
    "your_threshold",
]

NETWORK = "a1_network.safetensors"
"""What assignment 1 leaves: a network trained with the student's loss."""
IMAGES = "a2_attacked.safetensors"
"""What assignment 2 leaves: test images that the student's attack has changed."""
DETECTOR = "a3_detector.safetensors"
"""What assignment 3 leaves: the threshold of the student's detector."""


def _save(tensors: Mapping[str, Tensor], path: Path, made_for: Mapping[str, str]) -> Path:
    flat = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    save_file(flat, path, metadata=dict(made_for))
    return path


def _load(path: Path, made_for: Mapping[str, str], own: bool) -> tuple[dict[str, Tensor], str]:
    """The tensors of a file, or none and why."""
    if not own:
        return {}, "as you asked"
    if not path.exists():
        return {}, f"there is no {path.name} beside this notebook"
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        return {}, f"{path.name} cannot be read ({' '.join(str(error).split())})"
    for key, wanted in made_for.items():
        if found.get(key) != wanted:
            got = f"{key} {found.get(key, 'unknown')}, not {wanted}" if key == "variant" else f"another {key}"
            return {}, f"{path.name} was made for {got}"
    return tensors, ""


def _print_of(network: torch.nn.Module) -> str:
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return checksum(weights, {})[:16]


def keep_network(network: torch.nn.Module, variant: Variant, folder: Path | str = ".") -> Path:
    """Save a trained network for the next assignments.

    Args:
        network: A ``small_conv``, as in the course.
        variant: Of the student.
        folder: Where the notebook is.
    """
    return _save(network.state_dict(), Path(folder) / NETWORK, {"variant": variant.name})


def your_network(variant: Variant, *, folder: Path | str = ".", own: bool = True) -> tuple[Network, str]:
    """The network that assignment 1 has left, else the reference's, which is trained with the library's DRS loss.

    Args:
        variant: Of the student.
        folder: Where the notebook is.
        own: False takes the reference's network in any case.

    Returns:
        The network in evaluation mode, and whose it is in words.
    """
    weights, why = _load(Path(folder) / NETWORK, {"variant": variant.name}, own)
    network = build_model("small_conv", channels=1, classes=10, seed=0)
    if not why:
        try:
            network.load_state_dict(weights)
        except RuntimeError:
            why = f"{NETWORK} holds another kind of network"
        else:
            return network.eval(), f"your network, from {NETWORK}"
    spec = TrainingSpec(
        loss="drs", loss_options={"weight": variant.weight}, steps=200, batch_size=64, seed=variant.seed
    )
    return trained(spec, torch.device("cpu")).network, f"the reference's network: {why}"


def keep_images(images: Tensor, network: torch.nn.Module, variant: Variant, folder: Path | str = ".") -> Path:
    """Save attacked images for the next assignment.

    Args:
        images: In the order of the test images.
        network: That was attacked.
        variant: Of the student.
        folder: Where the notebook is.
    """
    made_for = {"variant": variant.name, "network": _print_of(network)}
    return _save({"images": images}, Path(folder) / IMAGES, made_for)


def your_images(
    network: torch.nn.Module,
    images: Tensor,
    labels: Tensor,
    variant: Variant,
    *,
    folder: Path | str = ".",
    own: bool = True,
) -> tuple[Tensor, str]:
    """The attacked images that assignment 2 has left, else the library's: PGD with 20 steps.

    Args:
        network: That they have to be made for.
        images: The same images before the attack.
        labels: Of them.
        variant: Of the student.
        folder: Where the notebook is.
        own: False takes the library's attack in any case.

    Returns:
        The images, and whose they are in words.
    """
    made_for = {"variant": variant.name, "network": _print_of(network)}
    found, why = _load(Path(folder) / IMAGES, made_for, own)
    moved = found.get("images")
    if moved is not None and moved.shape != images.shape:
        why = f"{IMAGES} holds {len(moved)} images, not {len(images)}"
    elif moved is not None and not float((moved - images).abs().max()) <= variant.epsilon + 1e-6:
        why = f"{IMAGES} breaks the budget {variant.epsilon:g}"
    elif moved is not None:
        return moved, f"your attacked images, from {IMAGES}"
    made = PGD(epsilon=variant.epsilon, steps=20)(network, images, labels).inputs
    return made, f"the library's attacked images: {why}"


def keep_threshold(threshold: float, network: torch.nn.Module, variant: Variant, folder: Path | str = ".") -> Path:
    """Save the threshold of a non-ME detector for the next assignment.

    Args:
        threshold: Below it an image is rejected.
        network: Whose scores it is for.
        variant: Of the student.
        folder: Where the notebook is.
    """
    made_for = {"variant": variant.name, "network": _print_of(network)}
    return _save({"threshold": torch.tensor(float(threshold))}, Path(folder) / DETECTOR, made_for)


def your_threshold(
    network: torch.nn.Module, held: Tensor, variant: Variant, *, folder: Path | str = ".", own: bool = True
) -> tuple[float, str]:
    """The threshold that assignment 3 has left, else the library's: it rejects at most 5% of the held-out images.

    Args:
        network: Whose scores it is for.
        held: Held-out images.
        variant: Of the student.
        folder: Where the notebook is.
        own: False takes the library's threshold in any case.

    Returns:
        The threshold, and whose it is in words.
    """
    made_for = {"variant": variant.name, "network": _print_of(network)}
    found, why = _load(Path(folder) / DETECTOR, made_for, own)
    if "threshold" in found:
        return float(found["threshold"]), f"your threshold, from {DETECTOR}"
    with torch.no_grad():
        scores = non_me(network(held))
    return rejection_threshold(scores, 0.05), f"the library's threshold: {why or f'{DETECTOR} holds none'}"
