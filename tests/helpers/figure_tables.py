"""Small tables for the tests of the figures, and what those look up in a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from pruning_regimes import tables
from pruning_regimes.figures import style

DEPTHS = {"shallow": 6, "deep": 8}
CRITERIA = ["math_aware", "random", "home_made"]
BUDGETS = {"1": 1, "0.5": None}


@dataclass(frozen=True)
class Study:
    """What a study's figures have to show: model -> depth, criteria, budget -> layers removed (None: half of them)."""

    depths: Mapping[str, int]
    criteria: Sequence[str]
    budgets: Mapping[str, int | None]


SMALL = Study(DEPTHS, CRITERIA, BUDGETS)
# As long as keys may be, and alike but for the end.
LONG = [f"a_criterion_with_a_name_as_long_as_the_config_lets_it_be_{index:07d}" for index in range(13)]
MODELS = [f"some-organisation--vision-language-model-of-many-billions-{index:06d}" for index in range(6)]
STUDIES = {
    "one model, two criteria": Study({"m": 28}, ["last", "math_aware"], {"4": 4, "0.5": None}),
    "two criteria of long names": Study(dict.fromkeys(MODELS[:2], 36), LONG[:2], {"4": 4, "0.5": None}),
    "one model, thirteen criteria": Study(
        {"demo": 12}, list(style.CRITERIA)[:13], {str(count): count for count in range(1, 9)}
    ),
    "six models, long names": Study(
        dict(zip(MODELS, (28, 36, 24, 32, 12, 80), strict=True)), LONG, {"1": 1, "0.5": None}
    ),
}
STYLE = {"width": 6.0, "height": 4.0, "token_group": "all"}
SHADED = {**STYLE, "palette": "Blues"}  # of figures that shade cells


def removed_count(budget: str, depth: int, study: Study = SMALL) -> int:
    return study.budgets[budget] or depth // 2


HIGHER = {"all": 0.0, "image": 0.1, "text": -0.1, "last": -0.2}  # token group -> its cosines, beyond those of all


def profile() -> pl.DataFrame:
    rows = []
    for model, depth in DEPTHS.items():
        for domain in ("math", "general"):
            for group, higher in HIGHER.items():
                for layer in reversed(range(depth)):  # the figure must not rely on the order of rows
                    cosine = 0.5 + 0.05 * layer - 0.1 * (domain == "math") + higher
                    row = {"model": model, "domain": domain, "token_group": group, "layer": layer, "n_samples": 4}
                    limits = {"cosine_p10": cosine - 0.05, "cosine_p90": cosine + 0.02}
                    rows.append({**row, "cosine": cosine, **limits})
    return tables.frame("profile", pl.DataFrame(rows))


def gap() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "domain": "general",
            "reference": "math",
            "token_group": group,
            "layer": layer,
            "ratio": ratio,
            "ratio_low": 0.9 * ratio,
            "ratio_high": 1.2 * ratio,
        }
        for model, depth in DEPTHS.items()
        for group in HIGHER
        for layer in reversed(range(depth))
        for ratio in [0.8 + 0.1 * layer + (group == "last")]
    ]
    return tables.frame("gap", pl.DataFrame(rows))


def nearest(depth: int, length: int) -> int:
    """Where the nearest block of a length starts."""
    return min(2, depth - length)


def blocks(depths: Mapping[str, int] = DEPTHS) -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "domain": domain,
            "start": start,
            "length": length,
            "n_samples": 4,
            "angular_distance": 0.5 * (length + abs(start - nearest(depth, length)) / depth) / (depth + 1),
            "nearest": start == nearest(depth, length),
        }
        for model, depth in depths.items()
        for domain in ("math", "general")
        for length in range(1, depth + 1)
        for start in range(depth - length + 1)
    ]
    return tables.frame("block_profile", pl.DataFrame(rows))


def variants(study: Study = SMALL) -> pl.DataFrame:
    frames = []
    for model, depth in study.depths.items():
        picked = [("dense", 0, "0", [])]
        for budget in study.budgets:
            count = removed_count(budget, depth, study)
            for index, criterion in enumerate(study.criteria):
                for replicate in range(2 if criterion == "random" else 1):
                    first = depth - count if criterion == "home_made" else 3 * (index // 2) + replicate
                    picked.append((criterion, replicate, budget, sorted((first + i) % depth for i in range(count))))
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
    return 1 - (1.2 + sum(map(ord, criterion)) % 20 / 20) * count / depth


def retention(undefined: tuple[str, str] | None = None, study: Study = SMALL) -> pl.DataFrame:
    rows = []
    for model, depth in study.depths.items():
        for group in ("math", "general"):
            for benchmark in ("quiz", None):
                for criterion in ("dense", *study.criteria):
                    for budget in ("0",) if criterion == "dense" else study.budgets:
                        count = 0 if budget == "0" else removed_count(budget, depth, study)
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


def overlaps(study: Study = SMALL) -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "budget": budget,
            "n_removed": removed_count(budget, depth, study),
            "criterion_a": a,
            "criterion_b": b,
            "jaccard": 1.0 if a == b else 0.01 * (1 + study.criteria.index(a) + study.criteria.index(b)),
            "expected_jaccard": 0.125 if budget == "1" else 0.333,
        }
        for model, depth in study.depths.items()
        for budget in study.budgets
        for a in study.criteria
        for b in study.criteria
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


def segments(study: Study = SMALL) -> pl.DataFrame:
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
            "last_removed": study.depths[model] // 2,
            "n_layers": study.depths[model],
            "start": start,
            "start_low": low,
            "start_high": high,
            "sd": 0.1,
            "sd_high": 0.2,
            "advantage": 0.0,
            "support": 0.9,
            "reason": "by hand",
        }
        for (model, group), found in zip(product(study.depths, ("math", "general")), cycle(SEGMENTS.values()))
        for segment, (regime, start, low, high) in reversed(list(enumerate(found)))
    ]
    return tables.frame("segments", pl.DataFrame(rows, infer_schema_length=None))


def sensitivity(study: Study = SMALL) -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "group": group,
            "budget": budget,
            "n_removed": removed_count(budget, depth, study),
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
        for model, depth in study.depths.items()
        for group in ("math", "general")
        for budget in study.budgets
    ]
    return tables.frame("sensitivity", pl.DataFrame(rows))


def effects(study: Study = SMALL) -> pl.DataFrame:
    criteria = ["math_aware", "non_math_aware"] if study is SMALL else study.criteria
    pairs = list(zip(criteria[::2], criteria[1::2], strict=False))
    rows = []
    for model, depth in study.depths.items():
        for (a, b), budget in product(pairs, (*study.budgets, None)):
            same = budget == "1"
            found = {"effect_a": 0.0 if same else 0.1, "effect_b": 0.0 if same else -0.02}
            found["effect"] = sum(found.values()) + (0.0 if budget else 0.01)
            limits = {f"{name}_low": value - 0.05 * (not same) for name, value in found.items()}
            limits |= {f"{name}_high": value + 0.07 * (not same) for name, value in found.items()}
            rows.append(
                {
                    "model": model,
                    "budget": budget,
                    "n_removed": removed_count(budget, depth, study) if budget else None,
                    "n_layers": depth,
                    "criterion_a": a,
                    "criterion_b": b,
                    "group_a": "math",
                    "group_b": "general",
                    "same_layers": same,
                    **found,
                    **limits,
                }
            )
    return tables.frame("domain_effect", pl.DataFrame(rows, infer_schema_length=None))


SAMPLES = (4, 8, 16, 20)


def stabilities(study: Study = SMALL) -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "criterion": criterion,
            "budget": budget,
            "n_removed": removed_count(budget, depth, study),
            "n_samples": n_samples,
            "jaccard": 0.5 + 0.02 * n_samples - 0.1 * (criterion == "home_made"),
            "jaccard_low": 0.3 + 0.02 * n_samples - 0.1 * (criterion == "home_made"),
            "jaccard_high": 0.6 + 0.02 * n_samples - 0.1 * (criterion == "home_made"),
            "expected_jaccard": 0.125 if budget == "1" else 0.333,
        }
        for model, depth in study.depths.items()
        for criterion in study.criteria
        if criterion not in ("random", "last")
        for budget in study.budgets
        for n_samples in reversed(SAMPLES)  # the figure must not rely on the order of rows
    ]
    return tables.frame("stability", pl.DataFrame(rows))


def paretos(study: Study = SMALL, undefined: tuple[str, str] | None = None) -> pl.DataFrame:
    return costed(retention(undefined, study))


def costed(retained: pl.DataFrame) -> pl.DataFrame:
    """The pareto table of a retention table: removing all layers would leave a tenth of time and weights."""
    rows = retained.filter(pl.col("benchmark").is_null())
    left = 1 - 0.9 * pl.col("n_removed") / pl.col("n_layers")  # of time and weights
    priced = rows.with_columns(
        control=pl.col("criterion") == "random",
        tokens=16,
        seconds=0.5 * left,
        seconds_low=0.49 * left,
        seconds_high=0.52 * left,
        prefill_seconds=0.1 * left,
        decode_seconds=0.02 * left,
        relative=left,
        relative_low=left,
        relative_high=left,
        weight_bytes=(9e9 * left).round(),
        peak_bytes=None,
        device=pl.lit("A processor"),
        threads=1,
    )
    # At one time, the best of what is no control; with fewer layers there is less of it.
    best = pl.col("retention").filter(~pl.col("control")).max().over("model", "group", "budget")
    on_frontier = (~pl.col("control") & (pl.col("retention") == best)).fill_null(False)
    return tables.frame("pareto", priced.with_columns(on_frontier=on_frontier))


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if not ax.get_label().startswith("<")]


def headings(figure: Figure) -> list[str]:
    """Names of models above their panels."""
    return [ax.texts[0].get_text() for ax in figure.axes if ax.get_label() == "<heading>"]


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
    return [text.get_text() for text in legend.get_texts() if text.get_text()]
