"""Small tables for the tests of the figures, and what those look up in a figure."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from pruning_regimes import tables

DEPTHS = {"shallow": 6, "deep": 8}
CRITERIA = ["math_aware", "random", "home_made"]
BUDGETS = {"1": 1, "0.5": None}
STYLE = {"width": 6.0, "height": 4.0, "token_group": "all"}
SHADED = {**STYLE, "palette": "Blues"}  # of figures that shade cells


def removed_count(budget: str, depth: int) -> int:
    return BUDGETS[budget] or depth // 2


def profile() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "domain": domain,
            "token_group": group,
            "layer": layer,
            "n_samples": 4,
            "cosine": 0.5 + 0.05 * layer - 0.1 * (domain == "math") - 0.2 * (group == "last"),
            "cosine_p10": 0.45 + 0.05 * layer - 0.1 * (domain == "math") - 0.2 * (group == "last"),
            "cosine_p90": 0.52 + 0.05 * layer - 0.1 * (domain == "math") - 0.2 * (group == "last"),
        }
        for model, depth in DEPTHS.items()
        for domain in ("math", "general")
        for group in ("all", "last")
        for layer in reversed(range(depth))  # the figure must not rely on the order of rows
    ]
    return tables.frame("profile", pl.DataFrame(rows))


def variants() -> pl.DataFrame:
    frames = []
    for model, depth in DEPTHS.items():
        picked = [("dense", 0, "0", [])]
        for budget in BUDGETS:
            count = removed_count(budget, depth)
            picked.append(("math_aware", 0, budget, list(range(count))))
            picked += [("random", replicate, budget, [replicate + i for i in range(count)]) for replicate in range(2)]
            picked.append(("home_made", 0, budget, list(range(depth - count, depth))))
        rows = [
            {
                "criterion": criterion,
                "replicate": replicate,
                "budget": budget,
                "n_removed": len(removed),
                "removed": removed,
                "kept": [layer for layer in range(depth) if layer not in removed],
                "variant_id": f"{criterion}{replicate}{budget}",
            }
            for criterion, replicate, budget, removed in picked
        ]
        frames.append(tables.frame("variants", rows).select(pl.lit(model).alias("model"), pl.all()))
    return pl.concat(frames)


def kept(criterion: str, count: int, depth: int) -> float:
    return 1 - (1.5 + len(criterion) / 100) * count / depth


def retention(undefined: tuple[str, str] | None = None) -> pl.DataFrame:
    rows = []
    for model, depth in DEPTHS.items():
        for group in ("math", "general"):
            for benchmark in ("quiz", None):
                for criterion in ("dense", *CRITERIA):
                    for budget in ("0",) if criterion == "dense" else BUDGETS:
                        count = 0 if budget == "0" else removed_count(budget, depth)
                        # Benchmark rows get a value of their own: it must not be drawn.
                        value = 7.0 if benchmark else kept(criterion, count, depth)
                        known = (model, group) != undefined
                        rows.append(
                            {
                                "model": model,
                                "group": group,
                                "benchmark": benchmark,
                                "criterion": criterion,
                                "budget": budget,
                                "n_removed": count,
                                "n_layers": depth,
                                "n_replicates": 1,
                                "n_questions": 10,
                                "n_failed": 0,
                                "unparsed_rate": 0.0,
                                "chance": 0.25,
                                "dense_accuracy": 0.75,
                                "accuracy": 0.5,
                                "accuracy_low": 0.4,
                                "accuracy_high": 0.6,
                                "retention": value if known else None,
                                "retention_low": value - 0.1 if known else None,
                                "retention_high": value + 0.2 if known else None,
                                "collapsed": False if known else None,
                            }
                        )
    return tables.frame("retention", pl.DataFrame(rows, infer_schema_length=None))


def overlaps() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "budget": budget,
            "n_removed": removed_count(budget, depth),
            "criterion_a": a,
            "criterion_b": b,
            "jaccard": 1.0 if a == b else 0.01 * (1 + CRITERIA.index(a) + CRITERIA.index(b)),
            "expected_jaccard": 0.125 if budget == "1" else 0.333,
        }
        for model, depth in DEPTHS.items()
        for budget in BUDGETS
        for a in CRITERIA
        for b in CRITERIA
    ]
    return tables.frame("overlap", pl.DataFrame(rows))


# (model, group) -> segments: regime, start, its lower and upper limit
SEGMENTS = {
    ("shallow", "math"): [("ranking-sensitive", None, None, None), ("collapsed", 2.0, 1.5, 2.5)],
    ("shallow", "general"): [("convergent", None, None, None), ("structure-dominated", 2.0, 2.0, 2.0)],
    ("deep", "math"): [
        ("convergent", None, None, None),
        ("ranking-sensitive", 1.0, 0.5, 3.0),
        ("structure-dominated", 2.5, 2.0, 3.5),
        ("convergent", 4.1, 3.7, 4.2),
    ],
    ("deep", "general"): [("undecided", None, None, None)],
}


def segments() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "group": group,
            "segment": segment,
            "n_segments": len(found),
            "regime": regime,
            "first_budget": "1",
            "last_budget": "0.5",
            "first_removed": 1,
            "last_removed": DEPTHS[model] // 2,
            "n_layers": DEPTHS[model],
            "start": start,
            "start_low": low,
            "start_high": high,
            "sd": 0.1,
            "sd_high": 0.2,
            "advantage": 0.0,
            "support": 0.9,
            "reason": "by hand",
        }
        for (model, group), found in SEGMENTS.items()
        for segment, (regime, start, low, high) in reversed(list(enumerate(found)))
    ]
    return tables.frame("segments", pl.DataFrame(rows, infer_schema_length=None))


def sensitivity() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "group": group,
            "budget": budget,
            "n_removed": removed_count(budget, depth),
            "n_layers": depth,
            "n_criteria": 2,
            "n_variants": 2,
            "spread": 0.1,
            "sd": 0.1,
            "noise": 0.05,
            "p": 0.01,
            "p_holm": 0.02,
            "sensitive": (model, group) == ("shallow", "math") or (group, budget) == ("general", "0.5"),
            "n_collapsed": 0,
        }
        for model, depth in DEPTHS.items()
        for group in ("math", "general")
        for budget in BUDGETS
    ]
    return tables.frame("sensitivity", pl.DataFrame(rows))


def effects() -> pl.DataFrame:
    rows = []
    for model, depth in DEPTHS.items():
        for budget in (*BUDGETS, None):
            same = budget == "1"
            found = {"effect_a": 0.0 if same else 0.1, "effect_b": 0.0 if same else -0.02}
            found["effect"] = sum(found.values()) + (0.0 if budget else 0.01)
            limits = {f"{name}_low": value - 0.05 * (not same) for name, value in found.items()}
            limits |= {f"{name}_high": value + 0.07 * (not same) for name, value in found.items()}
            rows.append(
                {
                    "model": model,
                    "budget": budget,
                    "n_removed": removed_count(budget, depth) if budget else None,
                    "n_layers": depth,
                    "criterion_a": "math_aware",
                    "criterion_b": "non_math_aware",
                    "group_a": "math",
                    "group_b": "general",
                    "same_layers": same,
                    **found,
                    **limits,
                }
            )
    return tables.frame("domain_effect", pl.DataFrame(rows, infer_schema_length=None))


SAMPLES = (4, 8, 16, 20)


def stabilities() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "criterion": criterion,
            "budget": budget,
            "n_removed": removed_count(budget, depth),
            "n_samples": n_samples,
            "jaccard": 0.5 + 0.02 * n_samples - 0.1 * (criterion == "home_made"),
            "jaccard_low": 0.3 + 0.02 * n_samples - 0.1 * (criterion == "home_made"),
            "jaccard_high": 0.6 + 0.02 * n_samples - 0.1 * (criterion == "home_made"),
            "expected_jaccard": 0.125 if budget == "1" else 0.333,
        }
        for model, depth in DEPTHS.items()
        for criterion in ("math_aware", "home_made")
        for budget in BUDGETS
        for n_samples in reversed(SAMPLES)  # the figure must not rely on the order of rows
    ]
    return tables.frame("stability", pl.DataFrame(rows))


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def lines(ax: Axes) -> dict[str, Any]:
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def shown_ticks(ax: Axes) -> list[Text]:
    """Labels of the ticks inside the axes' limits."""
    found = []
    for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high:
                found += [label for label in (tick.label1, tick.label2) if label.get_visible() and label.get_text()]
    return found


def legend_labels(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]
