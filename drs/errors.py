"""Errors whose text is one clear sentence: what was expected, and what was given.

The command line prints the sentence and exits with status 2; a library user gets an ordinary exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["DataError", "Diverged", "RecordError", "UsageError", "missing_package", "needs_extra", "pick", "unknown"]

Entry = TypeVar("Entry")


class UsageError(ValueError):
    """Wrong input: a shape, a label, a pixel range, an unknown name."""


class DataError(UsageError):
    """A data set that is missing, half-downloaded or corrupt."""


class Diverged(RuntimeError):
    """A training whose loss became infinite or NaN: a result, recorded as such by the runner."""


class RecordError(RuntimeError):
    """A record that is torn, altered or unreadable."""


def unknown(kind: str, name: object, known: Iterable[object]) -> UsageError:
    """The error for an unknown name.

    Args:
        kind: What was looked up, such as ``"loss"``.
        name: The name that was asked for.
        known: The names there are.
    """
    names = ", ".join(sorted(str(k) for k in known))
    return UsageError(f"unknown {kind} {name!r}: expected one of {names}")


def pick(kind: str, registry: Mapping[str, Entry], name: str) -> Entry:
    """The entry of that name.

    Args:
        kind: What is looked up, such as ``"loss"``; for the error.
        registry: Entries by name.
        name: The name that is asked for.

    Raises:
        UsageError: No entry of that name.
    """
    if name not in registry:
        raise unknown(kind, name, registry)
    return registry[name]


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around imports of packages that only an extra installs.

    Args:
        extra: Its name in ``pip install 'drs[NAME]'``.

    Raises:
        UsageError: A package that is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(error, extra) from error


def missing_package(error: ModuleNotFoundError, extra: str) -> UsageError:
    """The error for a package that only an extra installs."""
    package = (error.name or str(error)).split(".")[0]
    return UsageError(f"expected the package {package}, found none: run pip install 'drs[{extra}]'")
