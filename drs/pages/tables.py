"""The tables of the chapters, from data frames of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from drs.errors import UsageError
from drs.evaluation.alarms import alarms as judged
from drs.evaluation.alarms import fired
from drs.pages.figures import style
from drs.pages.figures.drs import VARIANTS, epsilons, named
from drs.pages.figures.figured import each
from drs.pages.figures.stress import work
from drs.paths import benchmarks_root
from drs.statistics import Method, correlate, holm, mean_interval, partial_correlation
from drs.study import metrics
from drs.study.claims.base import EVADING, SHOWN, SWEPT, evading_aucs, main_architecture, shared
from drs.study.claims.evaluation import alarm_metrics
from drs.study.measured import measured
from drs.study.metrics import DETECTORS, SPREADS
from drs.study.published import published

__all__ = [
    "NOT_NEGATIVE",
    "OTHER_SHARES",
    "SHARE",
    "TABLED",
    "alarms",
    "bandwidths",
    "benchmarks",
    "budgets",
    "by_loss",
    "clean_error",
    "correlation_table",
    "cost",
    "detection",
    "detection_comparison",
    "failed_trainings",
    "false_classes",
    "losses",
    "over_seeds",
    "possible",
    "rejected",
    "rises_again",
    "share_of_step",
    "silent",
    "transfer",
    "tuned",
    "within_networks",
    "worst_cases",
]

TABLED = (0.02, 0.05, 0.1)
"""Budgets of the table of losses."""
SHARE = (0.0, 1.0)
"""Where an accuracy, an area under accuracy, an AUC or a calibration error can lie."""
OTHER_SHARES = frozenset(
    {
        *("calibration_error", "zero_gradient_share", "caption_exact", "overlap_steps", "ece", "ece_shift", "hits"),
        *("hits_shift", "aupr", "eer", "fnmr", "restrained_batches"),
    }
)
"""Names of metrics that lie between 0 and 1, though the unit of their kind does not say it."""
NOT_NEGATIVE = frozenset(
    {
        *("gradient_norm", "logit_norm", "relative_spread", "non_me", "std_logits", "ddn", "distortion"),
        *("seconds_per_example", "train_loss", "scaled_penalty", "false_std", "batch_std", "nll", "nll_shift"),
        *("brier", "brier_shift", "fisher"),
    }
)
"""Names of metrics that are norms, distances, times, entropies or losses, and so never below 0."""


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
        frame: One row per network.
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
            row = {"measure": measure, "outcome": outcome, "n": len(used)}
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


def over_seeds(
    frame: pd.DataFrame,
    by: str,
    columns: Sequence[str],
    *,
    within: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Mean and 95% t interval over seeds as text, one row per value of ``by`` in the order it first appears.

    A column without a number in any row says ``diverged`` where every training did, else ``none``; where some rows
    have none, the count stands in brackets. Fewer than three numbers have no interval.

    Args:
        frame: One row per network.
        by: The column whose values are the rows.
        columns: The numbers.
        within: The least and the largest value that a number can have, where the interval is cut, for all columns or
            for some by name; for the others :func:`possible` says it. A share is cut at 1 in any case.

    Numbers that are the same at every seed say so, as a t interval of no width would mislead.
    """
    table = {}
    for value in dict.fromkeys(frame[by]):
        rows = frame[frame[by] == value]
        cells = {}
        for column in columns:
            values = rows[column].dropna().to_numpy(float)
            if not len(values):
                lost = "diverged" in rows and bool((rows["diverged"] == 1).all())
                cells[column] = "diverged" if lost else "none"
                continue
            interval = mean_interval(values)
            digits = ".2g" if 0 < abs(interval.mean) < 0.001 else ".3f"
            cells[column] = f"{interval.mean:{digits}}"
            if len(values) >= 3:
                limits = possible(column)
                least, most = within.get(column, limits) if isinstance(within, Mapping) else within or limits
                most = min(most, 1.0) if _is_share(column) else most
                low, high = max(least, interval.low), min(most, interval.high)
                same = bool((values == values[0]).all())
                cells[column] += " at each seed" if same else f" [{low:{digits}}, {high:{digits}}]"
            if len(values) < len(rows):
                cells[column] += f" ({len(values)} of {len(rows)})"
        table[value] = cells | {"seeds": str(len(rows))}
    return pd.DataFrame.from_dict(table, orient="index")


def possible(column: str) -> tuple[float, float]:
    """The least and the largest value that a column of records can have; both infinite where its name does not say.

    >>> possible("worst@0.05"), possible("gradient_norm_median"), possible("clean_margin_median")
    ((0.0, 1.0), (0.0, inf), (-inf, inf))
    """
    if _is_share(column):
        return SHARE
    try:
        name = metrics.Metric.parse(column).name
    except UsageError:
        return -np.inf, np.inf
    if name in OTHER_SHARES:
        return SHARE
    return (0.0 if name in NOT_NEGATIVE else -np.inf), np.inf


def _is_share(column: str) -> bool:
    """Whether a column is a metric that is a share of images or an AUC."""
    try:
        return metrics.Metric.parse(column).kind.unit == "share"
    except UsageError:
        return False


def failed_trainings(frame: pd.DataFrame, chance: float) -> str:
    """Which variants diverged, or ended within twice ``chance`` of nothing learnt, as a sentence with counts of seeds.

    Args:
        frame: Columns ``variant``, ``accuracy`` and, where a training did, ``diverged``.
        chance: The accuracy of a guess, 1 / C.
    """
    diverged = frame["diverged"] == 1 if "diverged" in frame else pd.Series(False, index=frame.index)
    found = []
    for words, failed in (("Diverged", diverged), ("Ended near chance", frame["accuracy"] < 2 * chance)):
        rows = frame[failed]
        counts = rows.groupby("variant", sort=False).size()
        if len(counts):
            all_of = frame["variant"].value_counts().to_dict()
            shares = "; ".join(f"{named(str(name))} ({count} of {all_of[name]})" for name, count in counts.items())
            found.append(f"{words}: {shares}")
    if not found:
        return "Every training of every variant learnt something."
    return f"Trainings that failed, in brackets how many of the seeds. {'. '.join(found)}."


def rises_again(frame: pd.DataFrame, attack: str = "pgd") -> str:
    """Which networks are more accurate under an attack than at a smaller budget, each at its largest rise.

    Args:
        frame: One row per network, with its loss and its accuracy under the attack at several budgets.
        attack: As the records name it.
    """
    budgets = epsilons(frame, attack)
    found = []
    for row in frame.to_dict("records"):
        values = [row[metrics.column(attack, budget=budget)] for budget in budgets]
        rises = [(later - earlier, i, j) for j, later in enumerate(values) for i, earlier in enumerate(values[:j])]
        rise, i, j = max(rises, default=(0.0, 0, 0))
        if rise > 0:
            found.append(
                f"the {style.name(str(row['network.loss']))} network is right on {values[i]:.1%} of the images at "
                f"epsilon {budgets[i]:g} and on {values[j]:.1%} at {budgets[j]:g}"
            )
    if not found:
        return "**Does a curve rise again?** None does here: more budget never left more images right."
    return f"**Does a curve rise again?** Yes: {'; '.join(found)}."


def benchmarks() -> pd.DataFrame:
    """Every measured speed ratio that is committed, one row per ratio, with the device it was measured on."""
    found = [pd.read_csv(path) for path in sorted(benchmarks_root().glob("attacks-*.csv"))]
    columns = ["ours", "ratio", "seconds", "to", "images", "device", "commit"]
    if not found:
        return pd.DataFrame(columns=columns)
    table = pd.concat(found).rename(columns={"name": "ours", "reference": "to"})[columns]
    return table.set_index("ours")


def by_loss(frame: pd.DataFrame, columns: Sequence[str], *, within: tuple[float, float] | None = None) -> pd.DataFrame:
    """:func:`over_seeds` of the networks of the grid's first architecture, one row per loss, without the columns that
    the frame does not have."""
    rows = main_architecture(frame)
    table = over_seeds(rows, "network.loss", [column for column in columns if column in rows], within=within)
    return table.rename(index=style.name)


def within_networks(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each false-class measure with the images' survival within a network, over the population:
    mean, least and largest."""
    columns = {f"sample_spearman_{name}": label for name, label in SPREADS.items()}
    table = frame[[column for column in frame if column in columns]].describe().loc[["mean", "min", "max"]].T
    return table.rename(index=columns)


def losses(frame: pd.DataFrame, variants: Sequence[str], *, meanings: bool = False) -> pd.DataFrame:
    """Some variants of the experiment ``losses`` over their seeds: accuracy, worst cases at three budgets, spread and
    calibration.

    Args:
        frame: Its records.
        variants: Which, in which order; those that were not run are left out.
        meanings: Say first what each variant changes, in place of the calibration.
    """
    present = [name for name in dict.fromkeys(variants) if (frame["variant"] == name).any()]
    rows = pd.concat([frame[frame["variant"] == name] for name in present])
    worst = [metrics.column("worst", budget=budget) for budget in TABLED]
    shown = ["accuracy", *worst, "worst_area", "std_logits_mean", *([] if meanings else ["calibration_error"])]
    shown = [name for name in shown if name in frame]
    limits = dict.fromkeys(shown, SHARE) | {"std_logits_mean": (0.0, np.inf)}
    table = over_seeds(rows, "variant", shown, within=limits)[shown]
    if meanings:
        table.insert(0, "what it changes", [VARIANTS[name][1] for name in present])
    return table.rename(index=named)


def tuned(frame: pd.DataFrame) -> pd.DataFrame:
    """Each loss of the experiment ``controls``: the values tried, how often each was best on validation images, and
    what the networks so chosen reach on test images."""
    values = {name: metric.budget for name, metric in metrics.columns(frame, "validation").items()}
    tried, taken = {}, {}
    for variant, rows in frame.groupby("variant", sort=False):
        there = [value for name, value in values.items() if value is not None and rows[name].notna().any()]
        counts = {value: int(np.isclose(rows["tuned"].to_numpy(float), value).sum()) for value in sorted(there)}
        tried[variant] = ", ".join(f"{value:g}" for value in counts)
        taken[variant] = ", ".join(f"{value:g}: {count}" for value, count in counts.items() if count)
    shown = ["accuracy", "worst_area"]
    table = over_seeds(frame, "variant", shown, within=SHARE)
    table.insert(0, "values tried", table.index.map(tried))
    table.insert(1, "taken: at how many seeds", table.index.map(taken))
    return table.rename(index=named)


def budgets(frame: pd.DataFrame) -> pd.DataFrame:
    """Worst-case accuracy of every variant of the experiment ``losses`` at every budget: means over seeds."""
    worst = {name: f"{metric.budget:g}" for name, metric in metrics.columns(frame, "worst").items() if metric.budget}
    means = frame.groupby("variant", sort=False)[list(worst)].mean()
    return means.rename(columns=worst, index=named).map(lambda value: f"{value:.3f}" if value == value else "diverged")


def worst_cases(frame: pd.DataFrame) -> pd.DataFrame:
    """Every variant of the experiment ``stress`` over its seeds: accuracy, worst cases, gradients, distance."""
    worst = list(metrics.columns(frame, "strong_worst"))
    columns = ["clean", *worst, "gradient_norm_median", "ddn_median"]
    return over_seeds(frame, "variant", columns, within=(0.0, np.inf)).rename(index=style.name)


def silent(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The alarms whose numbers were measured on some network of a frame and that fired on none."""
    rows_of = [measured(alarm_metrics(row)) for row in frame.to_dict("records")]
    looked_at = {alarm.name for one in rows_of for alarm in judged(one)}
    heard = {name for one in rows_of for name in fired(one)}
    return [name for name in names if name in looked_at - heard]


def alarms(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """On how many of a variant's networks each alarm fired, one row per alarm, one column per variant.

    An alarm that fired on no network has no row: :func:`silent` names those that could have.
    """
    rows_of = [measured(alarm_metrics(row)) for row in frame.to_dict("records")]
    anywhere = {name for one in rows_of for name in fired(one)}
    names = [name for name in names if name in anywhere]
    table: dict[str, dict[str, str]] = {}
    for variant, rows in each(frame, "variant"):
        heard = [fired(measured(alarm_metrics(row))) for row in rows.to_dict("records")]
        counts = {name: sum(name in one for one in heard) for name in names}
        cells = {name: f"**{n} of {len(rows)}**" if n else "none" for name, n in counts.items()}
        quiet = sum(not one for one in heard)
        table[style.name(variant)] = cells | {"no alarm at all": f"{quiet} of {len(rows)}"}
    return pd.DataFrame(table)


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds, time ratio with its interval and memory ratio of every shape and network."""
    table = {}
    for _, row in frame.iterrows():
        loop = row.get("naive_ratio", np.nan)
        table[work(row)] = {
            "CE, ms": f"{row['ce_milliseconds']:.3g}",
            "DRS, ms": f"{row['drs_milliseconds']:.3g}",
            "DRS / CE": f"{row['drs_ratio']:.3f} [{row['drs_ratio_low']:.3f}, {row['drs_ratio_high']:.3f}]",
            "loop / CE": f"{loop:.3g}" if loop == loop else "not run",
            "memory, DRS / CE": f"{row['memory_ratio']:.3f}",
        }
    return pd.DataFrame.from_dict(table, orient="index")


def share_of_step(frame: pd.DataFrame) -> str:
    """What the time of the loss alone predicts for a training step at batch 128 and ten classes, next to what was
    measured.

    Args:
        frame: Records of the experiment ``cost``.
    """
    steps = frame[frame["kind"] == "training"].to_dict("records")
    alone = frame[(frame["kind"] == "loss") & (frame["batch"] == 128) & (frame["classes"] == 10)]
    if alone.empty or not steps:
        return "A step, or the loss alone at its shape, was not timed here."
    loss = alone.iloc[0]
    found = []
    for step in steps:
        share = loss["ce_milliseconds"] / step["ce_milliseconds"]
        predicted = 1 + (loss["drs_ratio"] - 1) * share
        found.append(
            f"in a {work(pd.Series(step))} cross-entropy takes {share:.2%} of the time, so the formula predicts "
            f"{predicted:.3f}; measured are {step['drs_ratio']:.3f} [{step['drs_ratio_low']:.3f}, "
            f"{step['drs_ratio_high']:.3f}]"
        )
    return f"**Prediction and measurement.** The loss alone takes {loss['drs_ratio']:.2f} times as long; " + (
        "; ".join(found) + "."
    )


def clean_error(frame: pd.DataFrame) -> pd.DataFrame:
    """Every architecture and loss of the experiment ``detection`` over its seeds, on clean images."""
    limits = {
        "error_percent": (0.0, 100.0),
        "train_accuracy": SHARE,
        "calibration_error": SHARE,
        "std_logits_mean": (0.0, np.inf),
        "silhouette": (-1.0, 1.0),
    }
    models = {"small_conv": "SmallConvNet", "resnet": "ResNet", "mlp": "MLP", "lenet": "LeNet"}
    model = frame["network.model"].replace(models)
    return over_seeds(
        frame.assign(network=model + ", " + frame["network.loss"].map(style.name)),
        "network",
        list(limits),
        within=limits,
    )


def detection(frame: pd.DataFrame, head: str) -> pd.DataFrame:
    """A number of K-density under each attack, such as ``auc_all`` or ``undetected``, one row per loss."""
    return by_loss(frame, [f"{head}.k_density.{attack}" for attack in EVADING], within=SHARE)


def rejected(frame: pd.DataFrame) -> pd.DataFrame:
    """The share of clean and of attacked images that K-density rejects where it rejects 5% of clean ones, per loss."""
    clean = metrics.column("false_rejection_5", detector="k_density", attack="noise", budget=SHOWN)
    return by_loss(frame, [clean, *(f"detection_rate_5.k_density.{attack}" for attack in EVADING)], within=SHARE)


def bandwidths(frame: pd.DataFrame) -> pd.DataFrame:
    """K-density's AUC over the factor of its bandwidth, one row per loss."""
    named = {name: f"times {metric.budget:g}" for name, metric in metrics.columns(frame, "bandwidth_auc").items()}
    return by_loss(frame, list(named), within=SHARE).rename(columns=named)


def transfer(frame: pd.DataFrame, loss: str) -> pd.DataFrame:
    """What examples made on each network (rows) do to a target that was trained with ``loss``."""
    words = {
        "transfer_clean": "wrong on clean images",
        "transfer": "wrong on examples",
        "transfer_auc": "AUC",
        "transfer_auc_fooled": "AUC, fooled only",
    }
    named = {metrics.column(number, loss=loss): word for number, word in words.items()}
    return by_loss(frame, list(named), within=SHARE).rename(columns=named)


def false_classes(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The spread of the false classes next to the mean AUC of two detectors, one row per loss, and a caption.

    The mean is over the attacks that have an AUC for every network.
    """
    rows = main_architecture(frame)
    every = tuple(rows["network.loss"].unique())
    found: list[str] = []
    for metric in ("k_density", "non_me"):
        found = shared(frame, evading_aucs(metric), every)
        rows = rows.assign(**{f"AUC of {DETECTORS[metric]}": rows[found].mean(axis=1)})
    columns = ["accuracy", "std_logits_mean", "entropy_logits_mean", "AUC of K-density", "AUC of non-ME"]
    return by_loss(rows, columns), f"AUC: mean over {len(found)} of {len(EVADING)} attacks"


def detection_comparison(frame: pd.DataFrame, dataset: str = "mnist") -> pd.DataFrame:
    """K-density's AUC in percent: the paper, the independent replication, ours, one row per attack and objective.

    The paper's budgets are not known to us; the replication's row at 0.1 is shown next to ours at 0.1.
    """
    again = {
        (row["attack"], row["objective"]): f"{row['k_density_auc']:g}"
        for row in published("pdm_replication_auc", dataset=dataset).to_dict("records")
    }
    rows = {}
    for row in published("rce_table2_auc", dataset=dataset).to_dict("records"):
        attack, loss = str(row["attack"]), str(row["objective"])
        ours = frame[frame["network.loss"] == loss]
        budget = SHOWN if attack in SWEPT else None
        area = metrics.column("auc", detector="k_density", attack=attack, budget=budget)
        successes = metrics.column("successes", attack=attack, budget=budget)
        found = ours.reindex(columns=[area, successes]).to_numpy(float)
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
