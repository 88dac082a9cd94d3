"""Look-ups by name, and what kind of error is what."""

from __future__ import annotations

import pytest

from drs.errors import DataError, Diverged, RecordError, UsageError, pick


def test_pick_finds_the_entry_or_lists_the_names() -> None:
    sizes = {"small": 1, "large": 0}
    assert pick("size", sizes, "small") == 1
    assert pick("size", sizes, "large") == 0
    with pytest.raises(UsageError) as error:
        pick("size", sizes, "huge")
    assert str(error.value) == "unknown size 'huge': expected one of large, small"


def test_a_divergence_is_no_wrong_input() -> None:
    assert issubclass(DataError, UsageError)
    assert not issubclass(Diverged, UsageError)
    assert not issubclass(Diverged, RecordError)
    assert issubclass(Diverged, RuntimeError)
