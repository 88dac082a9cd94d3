"""Tables behind the figures, from data frames of records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from drs.statistics import Method, correlate, holm, mean_interval, partial_correlation


def correlation_table(
    frame: pd.DataFrame,
    measures: Sequence[str],
    outcomes: Sequence[str],
    *,
    method: Method = "pearson",
    given: str | None = None,
    resamples: int = 1000,
) -> pd.DataFrame:
    """Correlation of every measure with every outcome over a population, with intervals and Holm-corrected p-values.

    A pair with fewer than eight networks where both are finite, or with a constant side, is left empty.

    Args:
        frame: One row a network.
        measures: Columns of the false-class measures.
        outcomes: Columns of the results after an attack.
        method: ``"pearson"``, ``"spearman"`` or ``"kendall"``.
        given: A column whose linear part is taken out of both sides first (Pearson only).
        resamples: Bootstrap samples of an interval.

    Returns:
        Columns measure, outcome, estimate, low, high, p_value, n, p_holm and significant (p_holm < 0.05).
    """
    rows = []
    for measure in measures:
        for outcome in outcomes:
            used = frame[[measure, outcome, *([given] if given else [])]].replace([np.inf, -np.inf], np.nan).dropna()
            x, y = used[measure].to_numpy(float), used[outcome].to_numpy(float)
            row = {"measure": measure.removesuffix("_mean"), "outcome": outcome, "n": len(used)}
            if len(used) >= 8 and np.ptp(x) > 0 and np.ptp(y) > 0:
                if given:
                    r = partial_correlation(x, y, used[given].to_numpy(float), resamples=resamples)
                else:
                    r = correlate(x, y, method=method, resamples=resamples)
                row |= {"estimate": r.estimate, "low": r.low, "high": r.high, "p_value": r.p_value}
            rows.append(row)
    table = pd.DataFrame(rows, columns=["measure", "outcome", "estimate", "low", "high", "p_value", "n"])
    tested = table["p_value"].notna()
    table["p_holm"] = np.nan
    if tested.any():
        table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy(float))
    table["significant"] = table["p_holm"] < 0.05
    return table


def over_seeds(frame: pd.DataFrame, by: str, columns: Sequence[str]) -> pd.DataFrame:
    """Mean and 95% t interval over seeds as text, one row a value of ``by`` in the order it first appears."""
    table = {}
    for value in dict.fromkeys(frame[by]):
        rows = frame[frame[by] == value]
        cells = {}
        for column in columns:
            interval = mean_interval(rows[column].to_numpy(float))
            half = (interval.high - interval.low) / 2
            cells[column] = f"{interval.mean:.3f}" + (f" ± {half:.3f}" if np.isfinite(half) else "")
        table[value] = cells | {"seeds": str(len(rows))}
    return pd.DataFrame.from_dict(table, orient="index")
