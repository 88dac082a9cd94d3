"""Errors whose text is one clear sentence: what was expected, and what came.

The command line prints the sentence and exits with status 2; a library user gets an ordinary exception.
"""

from __future__ import annotations


class UsageError(ValueError):
    """Wrong input: a shape, a label, a pixel range, an unknown name."""


class DataError(UsageError):
    """A data set that is missing, half-downloaded or corrupt."""


class Diverged(UsageError):
    """A training whose loss became infinite or NaN: a result, recorded as such by the runner."""


class RecordError(RuntimeError):
    """A record that is torn, altered or unreadable."""


def unknown(kind: str, name: object, known: object) -> UsageError:
    """The one sentence for a name that no registry holds.

    Args:
        kind: What was looked up, such as ``"loss"``.
        name: The name that was asked for.
        known: The names there are (any iterable of strings).
    """
    names = ", ".join(sorted(str(k) for k in known))  # type: ignore[attr-defined]
    return UsageError(f"unknown {kind} {name!r}: expected one of {names}")
