"""A stranger's model and images for an audit: from a function, a file of weights or an exported program, and a folder.

Loading a model runs its code. Nothing is unpickled: a file of ``torch.save`` is refused.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.errors import DataError, UsageError
from drs.training.datasets import stratified_order
from drs.training.folders import PREFIX, layout, parts
from drs.training.images import read_image
from drs.training.models import MODELS

__all__ = ["load_folder", "load_model", "parse_epsilon"]

WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""While this is set, torch.load unpickles tensors and nothing else, whatever it is told."""
FORMS = (
    "expected a model as package.module:function, a TorchScript file (.pt, .ts), an exported program (.pt2), or "
    "weights (.safetensors) with an architecture"
)


def parse_epsilon(text: str) -> float:
    """A budget from its text.

    >>> parse_epsilon("0.5"), parse_epsilon("8/32")
    (0.5, 0.25)

    Raises:
        UsageError: Neither a number nor a fraction, or not above 0.
    """
    try:
        value = float(Fraction(text.replace(" ", "")))
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"expected epsilon as a number or a fraction such as 8/255, got {text!r}") from error
    if not 0.0 < value < float("inf"):
        raise UsageError(f"expected epsilon > 0, got {text}")
    return value


def load_model(
    model: str, *, architecture: str | None = None, classes: int = 10, channels: int = 3, size: int = 32
) -> nn.Module:
    """The model that a text names. Its code is run: load only what you trust.

    Args:
        model: ``package.module:function``, where the function takes nothing and returns a module (the current folder is
            searched first); or the path of a TorchScript file, of an exported program (``.pt2``), or of
            ``.safetensors`` with ``architecture``.
        architecture: For weights: a key of :data:`drs.training.models.MODELS`, or ``package.module:function``.
        classes, channels, size: Of the data, for an architecture of this library.

    Raises:
        UsageError: A form that is not known, a file that cannot be read, weights that do not fit, or code that fails.
    """
    path = Path(model)
    if path.suffix == ".safetensors":
        return _weights(path, architecture, classes, channels, size)
    if architecture is not None:
        raise UsageError(f"expected --architecture with a file of weights (.safetensors) only, got it with {model}")
    if not path.exists() and re.fullmatch(r"[\w.]+:[\w.]+", model):
        return _made(model)
    if not path.is_file():
        raise UsageError(f"{FORMS}; {model!r} is no file and no package.module:function")
    if path.suffix == ".pt2":
        return _exported(path)
    try:
        return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-any-return]
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{FORMS}; {path} is none of them (a file of torch.save is never read, as it can run anything: "
            f"save the state with safetensors instead)"
        ) from error


def _made(name: str) -> nn.Module:
    """What ``package.module:function`` returns."""
    module, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
        made = found()
    except Exception as error:  # a stranger's code
        raise UsageError(f"model {name!r} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise UsageError(f"expected {name!r} to return a torch.nn.Module, got {type(made).__name__}")
    return made


def _exported(path: Path) -> nn.Module:
    """An exported program; torch would unpickle parts of some, and these are refused."""
    logger = logging.getLogger("torch.export")  # it prints a traceback of its own
    level, forced = logger.level, os.environ.get(WEIGHTS_ONLY)
    logger.setLevel(logging.CRITICAL)
    os.environ[WEIGHTS_ONLY] = "1"
    try:
        with zipfile.ZipFile(path) as archive:
            if objects := [name for name in archive.namelist() if re.search(r"(custom|opaque)_obj", name)]:
                raise UsageError(f"expected an exported program of tensors alone, {path} holds {objects[0]}")
        return torch.export.load(path).module()
    except UsageError:
        raise
    except Exception as error:  # torch answers a broken file with errors of many kinds
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UsageError(f"cannot read {path} as an exported program: {problem}") from error
    finally:
        logger.setLevel(level)
        os.environ.pop(WEIGHTS_ONLY) if forced is None else os.environ.update({WEIGHTS_ONLY: forced})


def _weights(path: Path, architecture: str | None, classes: int, channels: int, size: int) -> nn.Module:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if architecture is None:
        raise UsageError(f"expected --architecture with {path}: {', '.join(MODELS)}, or package.module:function")
    if ":" in architecture:
        network: nn.Module = _made(architecture)
    elif architecture in MODELS:
        options = {"size": size} if architecture in ("mlp", "lenet") else {}
        network = MODELS[architecture](channels, classes, **options)
    else:
        raise UsageError(
            f"unknown architecture {architecture!r}: expected one of {', '.join(MODELS)}, or package.module:function"
        )
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot read {path} as safetensors: {error}") from error
    except RuntimeError as error:
        problem = " ".join(str(error).split())[:300]
        raise UsageError(f"the weights of {path} do not fit architecture {architecture!r}: {problem}") from error
    return network


def load_folder(
    name: str, *, images: int | None = None, size: tuple[int, int] | None = None, seed: int = 0
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """The test images of a folder, in a seeded order that mixes the classes; all of them where it has no splits.

    Args:
        name: ``folder:PATH``, with one folder per class (:mod:`drs.training.folders`).
        images: How many; None for all.
        size: (height, width) to resize to; None to leave them as they are, which needs them all of one size.
        seed: Of the order.

    Returns:
        (N, 3, H, W) in [0, 1], (N,) labels (the number of the class among the sorted names), and those names.

    Raises:
        UsageError: A name that is no folder, or a number that is not above 0.
        DataError: A folder without images in it, or images of several sizes.
    """
    if not name.startswith(PREFIX):
        raise UsageError(f"expected --data folder:PATH, got {name!r}")
    if images is not None and images < 1:
        raise UsageError(f"expected --images >= 1, got {images}")
    path, _ = parts(name)
    found = layout(path, name)
    files = found.train if found.test is None else found.test
    order = stratified_order(torch.tensor([label for _, label in files]), seed).tolist()[:images]
    pixels, shape = [], size
    for number in order:
        image = torch.from_numpy(read_image(files[number][0])).permute(2, 0, 1).float() / 255.0
        if size is not None:
            image = F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
        here = (int(image.shape[1]), int(image.shape[2]))
        shape = shape or here
        if here != shape:
            raise DataError(
                f"expected every image of {shape[0]} x {shape[1]} pixels, got {here[0]} x {here[1]} in "
                f"{files[number][0]}: give --size"
            )
        pixels.append(image.clamp(0.0, 1.0))
    return torch.stack(pixels), torch.tensor([files[number][1] for number in order]), found.classes
