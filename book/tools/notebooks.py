"""The form in which executed notebooks are committed, and what differs between two of them."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]
LIVE = "live"
"""Tag of a cell that shows what a network does that was trained on the page: numbers depend on the processor."""
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read(path: Path) -> Notebook:
    """A notebook as plain JSON values."""
    content: Notebook = json.loads(path.read_text(encoding="utf-8"))
    return content


def dump(notebook: Notebook) -> str:
    """The text of a notebook, laid out as nbformat does it."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def tagged(cell: Notebook, tag: str) -> bool:
    """Whether a cell carries the tag."""
    return tag in cell["metadata"].get("tags", [])


def sources(notebook: Notebook) -> str:
    """A notebook without what running it changes: outputs and execution counts."""
    kept = [{k: v for k, v in cell.items() if k not in ("outputs", "execution_count")} for cell in notebook["cells"]]
    return json.dumps({**notebook, "cells": kept}, sort_keys=True)


def with_kernel(notebook: Notebook) -> Notebook:
    """A notebook that names the project's own kernel, under whatever kernel an editor saved it, and nothing else."""
    language = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook | {"metadata": {"kernelspec": dict(KERNEL), "language_info": language}}


def normalise(notebook: Notebook) -> Notebook:
    """The committed form: no injected cell, times, addresses or random ids, no kernel or versions of this machine."""
    notebook = with_kernel(notebook)
    notebook["cells"] = [cell for cell in notebook["cells"] if not tagged(cell, "injected-parameters")]
    count = 0
    for cell in notebook["cells"]:
        dropped = ("papermill", "execution", *(["tags"] if not cell["metadata"].get("tags") else []))
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key not in dropped}
        if cell["cell_type"] != "code":
            continue
        count += 1
        cell["execution_count"] = count
        cell["outputs"] = _joined(cell["outputs"])
        for output in cell["outputs"]:
            if "execution_count" in output:
                output["execution_count"] = count
            output.update({"data": {k: _stable(k, v) for k, v in output["data"].items()}} if "data" in output else {})
    return notebook


def _joined(outputs: list[Notebook]) -> list[Notebook]:
    """Outputs in which what a cell prints in one go is one output, however the kernel happened to send it."""
    joined: list[Notebook] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.get("output_type") == last.get("output_type") == "stream" and output["name"] == last["name"]:
            joined[-1] = {**last, "text": "".join([*last["text"], *output["text"]]).splitlines(keepends=True)}
        else:
            joined.append(output)
    return joined


def _words(text: Any) -> str:
    """Text with a sign in place of each number."""
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", "".join(text or ""))


def _stable(mime: str, value: Any) -> Any:
    """Text without the addresses of Python objects and the random ids of pandas' styled tables."""
    if isinstance(value, list):
        return [_stable(mime, line) for line in value]
    if not mime.startswith("text/"):
        return value
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"\bT_[0-9a-f]{5}(?=[_\" ])", "T", value))


NARROW = "application/vnd.drs.narrow+json"
"""A figure's picture for phones."""
NAMES = re.compile(r"\b[mp][0-9a-f]{10}\b")
"""What Matplotlib calls the parts of a picture, after their content."""


def same_value(mime: str, one: Any, other: Any) -> bool:
    """Whether two outputs say the same; pictures may differ in a thousandth of their pixels (another processor).

    So may the places in a picture for phones, whose layout is a matter of last digits, and the names made of them; the
    numbers that it draws are compared in the wide picture beside it.
    """
    if mime == NARROW:
        return bool(_words(NAMES.sub("", "".join(one))) == _words(NAMES.sub("", "".join(other))))
    if one == other or mime != "image/png":
        return bool(one == other)
    import numpy as np
    from PIL import Image

    first, second = (np.asarray(Image.open(io.BytesIO(base64.b64decode(v))).convert("RGBA")) for v in (one, other))
    return first.shape == second.shape and bool((first != second).any(axis=-1).mean() < 1e-3)


def _same_form(mime: str, one: Any, other: Any) -> bool:
    """Whether two outputs have the same words; numbers and pictures may differ."""
    return mime not in ("text", "text/markdown") or _words(one) == _words(other)


def _values(cell: Notebook) -> list[dict[str, Any]]:
    return [{"text": output.get("text"), **output.get("data", {})} for output in cell.get("outputs", [])]


def differences(committed: Notebook, fresh: Notebook) -> list[str]:
    """What differs between two notebooks in committed form, one line per cell."""
    if sources(committed) != sources(fresh):
        return ["its cells or its metadata are not in the committed form"]
    lines = []
    for place, (old, new) in enumerate(zip(committed["cells"], fresh["cells"], strict=True)):
        before, after = _values(old), _values(new)
        if [sorted(output) for output in before] != [sorted(output) for output in after]:
            lines.append(f"cell {place}: expected {len(before)} outputs as committed, got {len(after)} or other kinds")
            continue
        same = _same_form if tagged(old, LIVE) else same_value
        wrong = [m for a, b in zip(before, after, strict=True) for m in a if not same(m, a[m], b[m])]
        if wrong:
            lines.append(f"cell {place}: its output ({', '.join(wrong)}) is not the committed one")
    return lines
