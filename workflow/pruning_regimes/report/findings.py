"""What a study found, in plain sentences: the summary and the recommendation, as Markdown made from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

import polars as pl

from pruning_regimes.report import sentences
from pruning_regimes.report.sentences import Tables


def summary(found: Tables, statistics: Mapping[str, float], enough: float) -> str:
    """The summary: per model and group the regimes and what speaks for them; per model its domains and its cost.

    Args:
        found: the tables retention, sensitivity, advantage, domain_effect, segments, stability, agreement,
            recommendation and pareto of all models, by name.
        statistics: confidence, margin and keep.
        enough: overlap of layer sets from which on calibration samples are enough.
    """
    level = f"{statistics['confidence']:.0%}"
    parts = ["# Summary", ""]
    parts += [
        f"Retention is 1 for the dense model and 0 for chance. Intervals are at the {level} level; a difference of "
        f"{statistics['margin']:g} in retention counts as one that matters. How each statement is reached: "
        "`workflow/docs/statistics.md`.",
        "",
    ]
    for model in found["retention"]["model"].unique(maintain_order=True):
        own = {name: table.filter(pl.col("model") == model) for name, table in found.items()}
        parts += [f"## {model} ({own['retention']['n_layers'][0]} decoder layers)", ""]
        for group in own["retention"]["group"].unique(maintain_order=True):
            of_group = {
                name: table.filter(pl.col("group") == group) for name, table in own.items() if "group" in table.columns
            }
            parts += [f"### {group} benchmarks", "", *_bullets(sentences.of_group(of_group)), ""]
        parts += ["### Domains and calibration", "", *_bullets(sentences.of_domains(own, statistics, enough)), ""]
        parts += ["### Cost", "", *_bullets(sentences.cost(own["pareto"])), ""]
        parts += [*_bullets(sentences.far(own["recommendation"], statistics)), ""]
    return "\n".join(parts)


def recommendation(found: pl.DataFrame, statistics: Mapping[str, float], command: str) -> str:
    """The recommendation: per model how far one can go, and the best criterion at each budget with its evidence.

    Args:
        found: the recommendation table.
        statistics: confidence and keep.
        command: what exports a checkpoint, up to the name of its directory.
    """
    level = f"{statistics['confidence']:.0%}"
    parts = ["# Recommendation", ""]
    parts += [
        f"The best criterion is the one of highest mean retention; its lower limit holds at the {level} level for all "
        "criteria and budgets of the table at once. The difference is to the best criterion with other layers, with an "
        "interval of its own: where that holds 0, the two are not told apart. Random criteria are controls, and left "
        "out.",
        "",
    ]
    for model in found["model"].unique(maintain_order=True):
        rows = found.filter(pl.col("model") == model)
        parts += [
            f"## {model} ({rows['n_layers'][0]} decoder layers)",
            "",
            *_bullets(sentences.far(rows, statistics)),
            "",
        ]
        for group in rows["group"].unique(maintain_order=True):
            parts += [f"### {sentences.named_group(group)}", ""]
            parts += [*_best(rows.filter(pl.col("group") == group)), ""]
            kept = rows.filter(pl.col("group") == group, "keeps").sort("n_removed")
            if len(kept):
                row = kept.row(-1, named=True)
                place = f"{row['model']}/{row['criteria'][0]}/{row['budget']}"
                parts += ["The checkpoint of that largest budget:", "", f"    {command}{place}", ""]
    return "\n".join(parts)


def by_figure(found: Tables, enough: float, families: Mapping[str, str]) -> dict[str, list[str]]:
    """What each figure shows, in sentences for its caption; figures of which nothing is said are left out.

    Args:
        found: the tables retention, profile, gap, block_profile, segments, sensitivity, domain_effect, stability,
            overlap and pareto of all models, by name.
        enough: overlap of layer sets from which on calibration samples are enough.
        families: criterion -> family.
    """
    said: dict[str, list[str]] = {}
    for model in found["retention"]["model"].unique(maintain_order=True):
        own = {name: table.filter(pl.col("model") == model) for name, table in found.items()}
        for figure, some in {
            "similarity": chain(sentences.profiles(own["profile"]), sentences.gaps(own["gap"])),
            "blocks": sentences.blocks(own["block_profile"]),
            "regimes": _of_regimes(own),
            "domain_effect": sentences.effects(own["domain_effect"]),
            "overlap": sentences.overlaps(own["overlap"], families),
            "stability": sentences.samples(own["stability"], enough),
            "pareto": sentences.cost(own["pareto"]),
        }.items():
            said.setdefault(figure, []).extend(f"{model}: {sentence}" for sentence in some)
    return {figure: some for figure, some in said.items() if some}


def _of_regimes(own: Tables) -> Iterator[str]:
    for group in own["segments"]["group"].unique(maintain_order=True):
        for row in own["segments"].filter(pl.col("group") == group).iter_rows(named=True):
            yield f"{group} benchmarks: {sentences.regime(row)}"
        for sentence in sentences.differences(own["sensitivity"].filter(pl.col("group") == group)):
            yield f"{group} benchmarks: {sentence}"


def _bullets(some: Iterator[str]) -> list[str]:
    return [f"- {sentence}" for sentence in some]


def _best(rows: pl.DataFrame) -> list[str]:
    lines = [
        "| removed | best criterion | retention | at least | more than the next | next |",
        "|---:|---|---:|---:|---|---|",
    ]
    for row in rows.iter_rows(named=True):
        difference = (
            ""
            if row["difference"] is None
            else f"{row['difference']:+.3f} {sentences.interval(row, 'difference', '.3f')}"
        )
        cells = (
            f"{row['n_removed']} ({row['n_removed'] / row['n_layers']:.0%})",
            " = ".join(row["criteria"]),
            f"{row['retention']:.3f}",
            f"{row['retention_low']:.3f}",
            difference,
            row["runner_up"] or "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines
