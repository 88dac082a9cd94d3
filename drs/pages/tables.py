"""Tables behind the figures, from data frames of records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from drs.paths import benchmarks_root
from drs.statistics import Method, correlate, holm, mean_interval, partial_correlation
from drs.study.claims.base import SHOWN, SWEPT
from drs.study.metrics import Metric, column
from drs.study.published import published


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
        metric = Metric.parse(measure)
        for outcome in outcomes:
            used = frame[[measure, outcome, *([given] if given else [])]].replace([np.inf, -np.inf], np.nan).dropna()
            x, y = used[measure].to_numpy(float), used[outcome].to_numpy(float)
            row = {"measure": metric.name if metric.part == "mean" else measure, "outcome": outcome, "n": len(used)}
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
    """Mean and 95% t interval over seeds as text, one row a value of ``by`` in the order it first appears.

    A column without a number in any row says ``diverged`` where every training did, else ``none``; where some rows
    have none, the count stands in brackets. Fewer than three numbers have no interval.
    """
    table = {}
    for value in dict.fromkeys(frame[by]):
        rows = frame[frame[by] == value]
        cells = {}
        for name in columns:
            values = rows[name].dropna().to_numpy(float)
            if not len(values):
                lost = "diverged" in rows and bool((rows["diverged"] == 1).all())
                cells[name] = "diverged" if lost else "none"
                continue
            interval = mean_interval(values)
            digits = ".2g" if 0 < abs(interval.mean) < 0.001 else ".3f"
            cells[name] = f"{interval.mean:{digits}}"
            if len(values) >= 3:
                cells[name] += f" ± {(interval.high - interval.low) / 2:{digits}}"
            if len(values) < len(rows):
                cells[name] += f" ({len(values)} of {len(rows)})"
        table[value] = cells | {"seeds": str(len(rows))}
    return pd.DataFrame.from_dict(table, orient="index")


def failed_trainings(frame: pd.DataFrame, chance: float) -> str:
    """Which variants diverged, or ended within twice ``chance`` of nothing learnt, as a sentence with counts of seeds.

    Args:
        frame: Columns ``variant``, ``accuracy`` and, where a training did, ``diverged``.
        chance: The accuracy of a guess, 1 / C.
    """
    diverged = frame["diverged"] == 1 if "diverged" in frame else pd.Series(False, index=frame.index)
    found = []
    for words, failed in (("diverged", diverged), ("ended near chance", frame["accuracy"] < 2 * chance)):
        rows = frame[failed]
        counts = rows.groupby("variant", sort=False).size()
        if len(counts):
            all_of = frame["variant"].value_counts().to_dict()
            named = ", ".join(f"`{name}` ({count} of {all_of[name]})" for name, count in counts.items())
            found.append(f"{words}: {named}")
    if not found:
        return "Every training of every variant learnt something."
    return f"Trainings that failed, of the seeds of each variant; {'; '.join(found)}."


def benchmarks() -> pd.DataFrame:
    """Every measured speed ratio that is committed, one row each, with the device it was measured on."""
    found = [pd.read_csv(path) for path in sorted(benchmarks_root().glob("attacks-*.csv"))]
    columns = ["ours", "ratio", "seconds", "to", "images", "device", "commit"]
    if not found:
        return pd.DataFrame(columns=columns)
    table = pd.concat(found).rename(columns={"name": "ours", "reference": "to"})[columns]
    return table.set_index("ours")


def detection_comparison(frame: pd.DataFrame, dataset: str = "mnist") -> pd.DataFrame:
    """K-density's AUC in percent: the paper, the independent replication, ours, a row an attack and objective.

    The paper's budgets are not known to us; the replication's row at 0.1 stands beside ours at 0.1.
    """
    again = {
        (row["attack"], row["objective"]): f"{row['k_density_auc']:g}"
        for row in published("pdm_replication_auc", dataset=dataset).to_dict("records")
    }
    rows = {}
    for row in published("rce_table2_auc", dataset=dataset).to_dict("records"):
        attack, loss = str(row["attack"]), str(row["objective"])
        ours = frame[frame["network.loss"] == loss]
        at = SHOWN if attack in SWEPT else None
        names = [
            column("auc", detector="k_density", attack=attack, budget=at),
            column("successes", attack=attack, budget=at),
        ]
        found = ours.reindex(columns=names).to_numpy(float)
        values = found[np.isfinite(found[:, 0]), 0] * 100
        rows[f"{attack}, {loss.upper()}"] = {
            "paper": f"{row['k_density']:g}",
            "checked": str(row["checked"]),
            "replication": again.get((attack, loss), again.get((f"{attack}_eps0.1", loss), "")),
            "ours": f"{values.mean():.1f}" if len(values) else "none",
            "our seeds": str(len(values)),
            "our successes": f"{np.nansum(found[:, 1]):.0f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")
