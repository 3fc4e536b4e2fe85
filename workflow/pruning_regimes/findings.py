"""What a study found, in plain sentences: the summary and the recommendation, as Markdown made from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from pruning_regimes.contracts import DENSE
from pruning_regimes.regimes.recommendation import ALL

Tables = Mapping[str, pl.DataFrame]


def summary(found: Tables, statistics: Mapping[str, float], enough: float) -> str:
    """The summary: per model and group the regimes and what speaks for them; per model what its domains do.

    Args:
        found: the tables retention, sensitivity, advantage, domain_effect, segments, stability, agreement and
            recommendation of all models, by name.
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
            parts += [f"### {group} benchmarks", "", *_bullets(_group(of_group, statistics)), ""]
        parts += ["### Domains and calibration", "", *_bullets(_domains(own, statistics, enough)), ""]
        parts += [*_bullets(_far(own["recommendation"], statistics)), ""]
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
        parts += [f"## {model} ({rows['n_layers'][0]} decoder layers)", "", *_bullets(_far(rows, statistics)), ""]
        for group in rows["group"].unique(maintain_order=True):
            parts += [f"### {_named(group)}", ""]
            parts += [*_best(rows.filter(pl.col("group") == group)), ""]
            kept = rows.filter(pl.col("group") == group, "keeps").sort("n_removed")
            if len(kept):
                row = kept.row(-1, named=True)
                place = f"{row['model']}/{row['criteria'][0]}/{row['budget']}"
                parts += ["The checkpoint of that largest budget:", "", f"    {command}{place}", ""]
    return "\n".join(parts)


def _named(group: str) -> str:
    return "All groups" if group == ALL else f"Group {group}"


def _bullets(sentences: Iterator[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]


def _group(own: Tables, statistics: Mapping[str, float]) -> Iterator[str]:
    whole = own["retention"].filter(pl.col("benchmark").is_null())
    dense = whole.filter(pl.col("criterion") == DENSE).row(0, named=True)
    n_benchmarks = own["retention"]["benchmark"].n_unique() - 1
    yield (
        f"The dense model answers {dense['accuracy']:.1%} {_interval(dense, 'accuracy', '.1%')} of "
        f"{dense['n_questions']} questions of {_count(n_benchmarks, 'benchmark')} right; chance is "
        f"{dense['chance']:.1%}."
    )
    if dense["retention"] is None:
        yield "Retention is undefined: the dense model is not clearly above chance on every benchmark of the group."
        return
    for row in own["segments"].iter_rows(named=True):
        yield _segment(row, statistics)
    yield from _differences(own["sensitivity"])
    yield from _advantages(own["advantage"])
    pruned = whole.filter(pl.col("criterion") != DENSE)
    for (count,), part in pruned.sort("n_removed").group_by("n_removed", maintain_order=True):
        if part["collapsed"].any():
            names = ", ".join(part.filter("collapsed")["criterion"])
            n_collapsed = part["collapsed"].sum()
            yield (
                f"Without {_count(count, 'layer')}, {n_collapsed} of {_count(len(part), 'criterion')} cannot be told "
                f"from chance: {names}."
            )


def _segment(row: Mapping[str, Any], statistics: Mapping[str, float]) -> str:
    first, last = row["first_removed"], row["last_removed"]
    spread = _count(last, "layer") if first == last else f"{first} to {_count(last, 'layer')}"
    shares = sorted({f"{count / row['n_layers']:.0%}" for count in (first, last)}, key=lambda text: float(text[:-1]))
    where = f"Without {spread} ({' to '.join(shares)} of all), the study is **{row['regime']}**"
    at_most = f"at most {row['sd_high']:.2f}"
    why = {
        "ranking-sensitive": f"the standard deviation between criteria is {row['sd']:.2f}, {at_most}",
        "convergent": f"the standard deviation between criteria is {row['sd']:.2f}, {at_most}",
        "structure-dominated": f"criteria by structure retain {row['advantage']:.2f} more than those that rank layers",
        "collapsed": row["reason"],
        "undecided": f"not enough evidence: {row['reason']}",
    }[row["regime"]]
    sentence = f"{where}: {why}."
    if row["start"] is not None:
        sentence += (
            f" It begins at {row['start']:g} layers [{row['start_low']:g}, {row['start_high']:g}]; "
            f"{row['support']:.0%} of simulated studies like this one have as many regimes."
        )
    return sentence


def _differences(sensitivity: pl.DataFrame) -> Iterator[str]:
    if not len(sensitivity):
        yield "Whether ranking criteria differ is not tested: it takes at least two of them."
        return
    shown, others = sensitivity.filter("sensitive"), sensitivity.filter(~pl.col("sensitive"))
    if len(shown):
        cells = [f"{row['n_removed']} (spread {row['spread']:.2f})" for row in shown.iter_rows(named=True)]
        yield f"Ranking criteria differ (Holm-corrected) without this many layers: {', '.join(cells)}."
    if len(others):
        cells = [f"{row['n_removed']} (p = {row['p_holm']:.2f})" for row in others.iter_rows(named=True)]
        yield f"That they differ is not shown without this many layers: {', '.join(cells)}."


def _advantages(advantage: pl.DataFrame) -> Iterator[str]:
    if not len(advantage):
        yield "Structure is not compared with ranking: the study needs criteria of both families."
        return
    for word, rows in (
        ("more", advantage.filter(pl.col("advantage_low") > 0)),
        ("less", advantage.filter(pl.col("advantage_high") < 0)),
    ):
        if len(rows):
            cells = [
                f"{row['n_removed']} ({row['advantage']:+.2f} {_interval(row, 'advantage')})"
                for row in rows.iter_rows(named=True)
            ]
            yield f"Criteria by structure retain {word} than ranking ones without this many layers: {', '.join(cells)}."
    if not len(advantage.filter((pl.col("advantage_low") > 0) | (pl.col("advantage_high") < 0))):
        yield "That criteria by structure retain more, or less, than ranking ones is shown at no budget."


def _domains(own: Tables, statistics: Mapping[str, float], enough: float) -> Iterator[str]:
    for row in own["agreement"].filter(pl.col("budget").is_null()).iter_rows(named=True):
        differ = row["p"] <= 1 - statistics["confidence"]
        verdict = "rank the layers differently" if differ else "do not show to rank the layers differently"
        yield (
            f"{row['domain_a']} and {row['domain_b']} {verdict}: Kendall's tau is {row['between']:.2f} between halves "
            f"of the two and {row['within']:.2f} between halves of one (p = {row['p']:.3f})."
        )
    means = own["domain_effect"].filter(pl.col("budget").is_null())
    for row in means.iter_rows(named=True):
        a, b = row["criterion_a"], row["criterion_b"]
        yield (
            f"On average over budgets, {a} keeps {row['effect_a']:+.3f} {_interval(row, 'effect_a', '.3f')} more of "
            f"{row['group_a']} than {b} does, and {b} {row['effect_b']:+.3f} {_interval(row, 'effect_b', '.3f')} more "
            f"of {row['group_b']} than {a}; the difference in differences is {row['effect']:+.3f} "
            f"{_interval(row, 'effect', '.3f')}: {_verdict(row)}."
        )
    if not len(means):
        yield "The effect of a domain's own criterion is not measured: no two criteria look at one group's domain each."
    yield from _samples(own["stability"], enough)


def _verdict(row: Mapping[str, Any]) -> str:
    if row["same_layers"]:
        return "both remove the same layers at every budget"
    if row["effect_low"] > 0:
        return "each domain is kept better by its own criterion"
    return "the reverse is found" if row["effect_high"] < 0 else "no effect of the domain is shown"


def _samples(stability: pl.DataFrame, enough: float) -> Iterator[str]:
    if not len(stability):
        return
    needed = enough_samples(stability, enough)
    cells = [f"{criterion} {'more than all' if size is None else size}" for criterion, size in needed.items()]
    yield (
        f"Calibration samples per domain from which on layer sets overlap by {enough:g} with those of all, on average "
        f"and at every budget: {', '.join(cells)}."
    )


def enough_samples(stability: pl.DataFrame, enough: float) -> dict[str, int | None]:
    """Criterion -> the fewest samples per domain from which on the mean overlap is large enough at every budget.

    None if it is not even with all of them.
    """
    needed: dict[str, int | None] = {}
    for (criterion,), part in stability.group_by("criterion", maintain_order=True):
        worst = part.group_by("n_samples").agg(pl.col("jaccard").min()).sort("n_samples", descending=True)
        needed[criterion] = None
        for size, overlap in worst.iter_rows():
            if overlap < enough:
                break
            needed[criterion] = size
    return needed


def _far(rows: pl.DataFrame, statistics: Mapping[str, float]) -> Iterator[str]:
    keep, level = f"{statistics['keep']:.0%}", f"{statistics['confidence']:.0%}"
    for group in rows["group"].unique(maintain_order=True):
        kept = rows.filter(pl.col("group") == group, "keeps").sort("n_removed")
        name = _named(group)
        if not len(kept):
            yield f"{name}: no budget keeps {keep} of retention with {level} confidence."
            continue
        row = kept.row(-1, named=True)
        yield (
            f"{name}: {keep} of retention is kept with {level} confidence up to {_count(row['n_removed'], 'layer')} "
            f"({row['n_removed'] / row['n_layers']:.0%}), by {' = '.join(row['criteria'])}: retention "
            f"{row['retention']:.3f}, at least {row['retention_low']:.3f}."
        )


def _best(rows: pl.DataFrame) -> list[str]:
    lines = [
        "| removed | best criterion | retention | at least | more than the next | next |",
        "|---:|---|---:|---:|---|---|",
    ]
    for row in rows.iter_rows(named=True):
        difference = (
            "" if row["difference"] is None else f"{row['difference']:+.3f} {_interval(row, 'difference', '.3f')}"
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


def _interval(row: Mapping[str, Any], name: str, digits: str = ".2f") -> str:
    return f"[{row[f'{name}_low']:{digits}}, {row[f'{name}_high']:{digits}}]"


def _count(n: int, word: str) -> str:
    plural: Sequence[str] = {"criterion": "criteria"}.get(word, f"{word}s")
    return f"{n} {word if n == 1 else plural}"
