"""Sentences that say what a study found, each made from a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from pruning_regimes.tables.contracts import ALL_GROUPS, DENSE

Tables = Mapping[str, pl.DataFrame]
LEAST = 3  # layers, and lengths of blocks, that a sentence names


def named_group(group: str) -> str:
    """A group of benchmarks as a sentence begins with it."""
    return "All groups" if group == ALL_GROUPS else f"Group {group}"


def of_group(own: Tables) -> Iterator[str]:
    """What is known of one model and group: the dense model, regimes, differences, structure, collapse.

    Args:
        own: the tables retention, segments, sensitivity and advantage of that model and group.
    """
    whole = own["retention"].filter(pl.col("benchmark").is_null())
    dense = whole.filter(pl.col("criterion") == DENSE).row(0, named=True)
    n_benchmarks = own["retention"]["benchmark"].n_unique() - 1
    mean = f", the mean over {n_benchmarks} benchmarks" if n_benchmarks > 1 else ""
    yield (
        f"The dense model's accuracy is {dense['accuracy']:.1%} {interval(dense, 'accuracy', '.1%')}{mean} "
        f"({count(dense['n_questions'], 'question')}); chance is {dense['chance']:.1%}."
    )
    if dense["retention"] is None:
        yield "Retention is undefined: the dense model is not clearly above chance on every benchmark of the group."
        return
    for row in own["segments"].iter_rows(named=True):
        yield regime(row)
    yield from differences(own["sensitivity"])
    yield from advantages(own["advantage"])
    pruned = whole.filter(pl.col("criterion") != DENSE)
    for (n_removed,), part in pruned.sort("n_removed").group_by("n_removed", maintain_order=True):
        if part["collapsed"].any():
            names = ", ".join(part.filter("collapsed")["criterion"])
            n_collapsed = part["collapsed"].sum()
            yield (
                f"Without {count(n_removed, 'layer')}, {n_collapsed} of {count(len(part), 'criterion')} cannot be told "
                f"from chance: {names}."
            )


def regime(row: Mapping[str, Any]) -> str:
    """One row of the segments table: which regime, why, and where it begins."""
    first, last = row["first_removed"], row["last_removed"]
    spread = count(last, "layer") if first == last else f"{first} to {count(last, 'layer')}"
    shares = sorted({f"{n / row['n_layers']:.0%}" for n in (first, last)}, key=lambda text: float(text[:-1]))
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


def differences(sensitivity: pl.DataFrame) -> Iterator[str]:
    """At which budgets ranking criteria differ, of the sensitivity table of one model and group."""
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


def advantages(advantage: pl.DataFrame) -> Iterator[str]:
    """At which budgets structure wins or loses, of the advantage table of one model and group."""
    if not len(advantage):
        yield "Structure is not compared with ranking: the study needs criteria of both families."
        return
    for word, rows in (
        ("more", advantage.filter(pl.col("advantage_low") > 0)),
        ("less", advantage.filter(pl.col("advantage_high") < 0)),
    ):
        if len(rows):
            cells = [
                f"{row['n_removed']} ({row['advantage']:+.2f} {interval(row, 'advantage')})"
                for row in rows.iter_rows(named=True)
            ]
            yield f"Criteria by structure retain {word} than ranking ones without this many layers: {', '.join(cells)}."
    if not len(advantage.filter((pl.col("advantage_low") > 0) | (pl.col("advantage_high") < 0))):
        yield "That criteria by structure retain more, or less, than ranking ones is shown at no budget."


def of_domains(own: Tables, statistics: Mapping[str, float], enough: float) -> Iterator[str]:
    """What domains and calibration samples do to one model: agreement, domain effect, enough samples."""
    for row in own["agreement"].filter(pl.col("budget").is_null()).iter_rows(named=True):
        differ = row["p"] <= 1 - statistics["confidence"]
        verdict = "rank the layers differently" if differ else "do not show to rank the layers differently"
        yield (
            f"{row['domain_a']} and {row['domain_b']} {verdict}: Kendall's tau is {row['between']:.2f} between halves "
            f"of the two and {row['within']:.2f} between halves of one (p = {row['p']:.3f})."
        )
    yield from effects(own["domain_effect"])
    yield from samples(own["stability"], enough)


def effects(domain_effect: pl.DataFrame) -> Iterator[str]:
    """What a domain's own criterion keeps more, on average over budgets, in one model."""
    means = domain_effect.filter(pl.col("budget").is_null())
    for row in means.iter_rows(named=True):
        a, b = row["criterion_a"], row["criterion_b"]
        yield (
            f"On average over budgets, {a} keeps {row['effect_a']:+.3f} {interval(row, 'effect_a', '.3f')} more of "
            f"{row['group_a']} than {b} does, and {b} {row['effect_b']:+.3f} {interval(row, 'effect_b', '.3f')} more "
            f"of {row['group_b']} than {a}; the difference in differences is {row['effect']:+.3f} "
            f"{interval(row, 'effect', '.3f')}: {_verdict(row)}."
        )
    if not len(means):
        yield (
            "The effect of a domain's own criterion is not measured: it takes two criteria that look at one group's "
            "domain each, and retention that is defined on both groups."
        )


def _verdict(row: Mapping[str, Any]) -> str:
    if row["same_layers"]:
        return "both remove the same layers at every budget"
    if row["effect_low"] > 0:
        return "taken together, domains are kept better by their own criterion"
    return "the reverse is found" if row["effect_high"] < 0 else "no effect of the domain is shown"


def samples(stability: pl.DataFrame, enough: float) -> Iterator[str]:
    """How many calibration samples are enough for each criterion of one model."""
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


def profiles(profile: pl.DataFrame) -> Iterator[str]:
    """Which layers of one model change their input least, per domain, by the tokens of the group `all`."""
    for (domain,), part in profile.filter(pl.col("token_group") == "all").group_by("domain", maintain_order=True):
        least = part.top_k(LEAST, by="cosine").sort("cosine", descending=True)
        cells = [f"{layer} ({cosine:.3f})" for layer, cosine in least.select("layer", "cosine").iter_rows()]
        yield f"In {domain}, the layers that change their input least, with their cosine, are {', '.join(cells)}."


def gaps(gap: pl.DataFrame) -> Iterator[str]:
    """Which layers of one model change the inputs of one domain more than those of another, by all tokens."""
    for (domain, reference), part in gap.filter(pl.col("token_group") == "all").group_by(
        "domain", "reference", maintain_order=True
    ):
        rows = part.sort("layer")
        if rows["ratio_low"].is_null().all():
            continue  # too few samples for intervals
        more, less = rows.filter(pl.col("ratio_low") > 1)["layer"], rows.filter(pl.col("ratio_high") < 1)["layer"]
        n_rest = len(rows) - len(more) - len(less)
        cells = [
            f"{word}: {', '.join(map(str, layers))}" for word, layers in (("more", more), ("less", less)) if len(layers)
        ]
        yield (
            f"Layers that change {domain} inputs more or less than {reference} ones, each interval by itself: "
            f"{'; '.join(cells) or 'none'}; {n_rest} of {len(rows)} are not told apart."
        )


def blocks(block_profile: pl.DataFrame) -> Iterator[str]:
    """Which blocks of layers of one model turn the last token least, per domain, for the shortest lengths above one."""
    rows = block_profile.filter("nearest", pl.col("length").is_between(2, LEAST + 1)).sort("length")
    for (domain,), part in rows.group_by("domain", maintain_order=True):
        cells = [
            f"{start} to {start + length - 1} ({distance:.3f})"
            for start, length, distance in part.select("start", "length", "angular_distance").iter_rows()
        ]
        yield f"In {domain}, the blocks that turn the last token least, with the angle over pi, are {', '.join(cells)}."


def overlaps(overlap: pl.DataFrame, families: Mapping[str, str]) -> Iterator[str]:
    """How far the ranking criteria of one model agree on the layers, at each budget.

    Args:
        overlap: its rows of the overlap table.
        families: criterion -> family.
    """
    ranking = [criterion for criterion, family in families.items() if family == "ranking"]
    pairs = overlap.filter(
        pl.col("criterion_a").is_in(ranking), pl.col("criterion_b").is_in(ranking),
        pl.col("criterion_a") < pl.col("criterion_b"),
    )  # fmt: skip
    cells = [
        f"{part['jaccard'].mean():.2f} without {count(n_removed, 'layer')} ({part['expected_jaccard'][0]:.2f})"
        for (n_removed,), part in pairs.sort("n_removed").group_by("n_removed", maintain_order=True)
    ]
    if cells:
        yield f"Mean overlap of two ranking criteria (of random layers): {', '.join(cells)}."


def cost(rows: pl.DataFrame) -> Iterator[str]:
    """Time and weights of the dense and the pruned models, of one model's rows of the pareto table."""
    cells = rows.unique(("criterion", "budget"), keep="first", maintain_order=True)
    dense = cells.filter(pl.col("criterion") == DENSE).row(0, named=True)
    yield (
        f"A question with an answer of {dense['tokens']} tokens takes the dense model {dense['seconds']:.3g} s, one at "
        f"a time ({dense['device']}); its weights are {_size(dense['weight_bytes'])}."
    )
    shares = cells.filter(pl.col("criterion") != DENSE).with_columns(pl.col("weight_bytes") / dense["weight_bytes"])
    said = [
        f"without {count(n_removed, 'layer')} {_range(part['relative'])} and {_range(part['weight_bytes'])}"
        for (n_removed,), part in shares.sort("n_removed").group_by("n_removed", maintain_order=True)
    ]
    yield f"Of that time and of these weights, a pruned model takes {'; '.join(said)}."


def _range(values: pl.Series) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def far(rows: pl.DataFrame, statistics: Mapping[str, float]) -> Iterator[str]:
    """How far one can go with each group, of one model's rows of the recommendation table."""
    keep, level = f"{statistics['keep']:.0%}", f"{statistics['confidence']:.0%}"
    for group in rows["group"].unique(maintain_order=True):
        kept = rows.filter(pl.col("group") == group, "keeps").sort("n_removed")
        name = named_group(group)
        if not len(kept):
            yield f"{name}: no budget keeps {keep} of retention with {level} confidence."
            continue
        row = kept.row(-1, named=True)
        yield (
            f"{name}: {keep} of retention is kept with {level} confidence up to {count(row['n_removed'], 'layer')} "
            f"({row['n_removed'] / row['n_layers']:.0%}), by {' = '.join(row['criteria'])}: retention "
            f"{row['retention']:.3f}, at least {row['retention_low']:.3f}."
        )


def interval(row: Mapping[str, Any], name: str, digits: str = ".2f") -> str:
    """The limits of a value of a row."""
    return f"[{row[f'{name}_low']:{digits}}, {row[f'{name}_high']:{digits}}]"


def count(n: int, word: str) -> str:
    """A number with its noun: 1 layer, 2 layers."""
    plural: Sequence[str] = {"criterion": "criteria"}.get(word, f"{word}s")
    return f"{n} {word if n == 1 else plural}"
