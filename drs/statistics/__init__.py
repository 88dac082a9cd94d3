"""Statistics of the book: arrays or sequences in, frozen dataclasses out.

``intervals`` has means over seeds with Student's t intervals and paired differences; ``correlation`` has correlations
and partial correlations with bootstrap intervals, Holm's correction and bands of equal accuracy. Claims, tables and
figures use them, and anyone who compares networks over seeds. This package is the one address of their names.
"""

from drs.statistics.correlation import Correlation, Method, correlate, holm, matched_band, partial_correlation
from drs.statistics.intervals import (
    Difference,
    Interval,
    crossed_interval,
    detectable_difference,
    mean_interval,
    paired_difference,
    share_interval,
)

__all__ = [
    "Correlation",
    "Difference",
    "Interval",
    "Method",
    "correlate",
    "crossed_interval",
    "detectable_difference",
    "holm",
    "matched_band",
    "mean_interval",
    "paired_difference",
    "partial_correlation",
    "share_interval",
]
