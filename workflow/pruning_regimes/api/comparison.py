"""Whether one set of answers to the same questions is better than another: of two variants, models or tools."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pruning_regimes.api.score_tables import Answers, read
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.regimes.paired import Paired, paired


@dataclass(frozen=True, repr=False)
class Comparison(Paired):
    """Two sets of answers, A and B, to the same questions. Besides the attributes of `Paired`:

    Attributes:
        a, b: what they are.
        left_out_a, left_out_b: questions that A alone, and B alone, answers; they do not count.
        clustered: whether it is known which questions share an image; if not, each is a cluster of its own.
    """

    a: str
    b: str
    left_out_a: int
    left_out_b: int
    clustered: bool

    def __repr__(self) -> str:
        """All of it, as text."""
        known = f"in {self.n_clusters} clusters (those that share an image are one)"
        shared = known if self.clustered else "taken to share no image"
        return "\n".join(
            [
                f"A: {self.a}",
                f"B: {self.b}",
                f"Questions: {self.n_questions}, {shared}",
                f"Accuracy: {self.accuracy_a:.4f} (A), {self.accuracy_b:.4f} (B)",
                f"A - B: {self.difference:+.4f}, {self.confidence:.0%} interval {self.low:+.4f} to {self.high:+.4f}, "
                f"p = {self.p:.2g}",
                f"Right: {self.both} by both, {self.only_a} by A alone, {self.only_b} by B alone, {self.neither} by "
                "neither",
            ]
        )


def compare(
    a: str | Path | pl.DataFrame,
    b: str | Path | pl.DataFrame,
    *,
    variant_a: str | None = None,
    variant_b: str | None = None,
    benchmark: str | Path | None = None,
    scoring: str = "clean",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two sets of answers to the same questions, question by question.

    Args:
        a, b: each a predictions or scores table of a study, or any table (Parquet, JSON, JSONL, CSV, a frame) with the
            columns sample_id, score (between 0 and 1) and, where questions depend on each other, cluster.
        variant_a, variant_b: which variant of a table that holds several: its id, `dense`, or `CRITERION/BUDGET` as in
            the study whose results the table lies in.
        benchmark: the benchmark table that predictions are scored with; that of the study if not given. It also tells
            which questions share an image.
        scoring: clean or upstream, as the config's `scoring`.
        resamples: of the bootstrap and of the permutations.
        confidence: level of the interval.
        seed: of both.

    Raises: DataError if a table cannot be read or scored, does not say which variant is meant, or answers no question
        that the other one answers.
    """
    if resamples < 1 or not 0 < confidence < 1:
        raise DataError(
            f"resamples is {resamples} and confidence {confidence}; expected 1 or more, and a level below 1."
        )
    sides = [
        read(name, table, variant, benchmark, scoring)
        for name, table, variant in (("a", a, variant_a), ("b", b, variant_b))
    ]
    shared, clustered = _joined(sides)
    left_out = [len(side.scores) - len(shared) for side in sides]
    if any(left_out):
        logging.warning(
            "A and B answer different questions: the %d that both answer are compared, %d of A and %d of B left out",
            len(shared),
            *left_out,
        )
    found = paired(
        shared["score"].to_numpy(), shared["score_b"].to_numpy(), shared["cluster"], resamples, confidence, seed
    )
    return Comparison(
        **vars(found),
        a=sides[0].name,
        b=sides[1].name,
        left_out_a=left_out[0],
        left_out_b=left_out[1],
        clustered=clustered,
    )


def _joined(sides: Sequence[Answers]) -> tuple[pl.DataFrame, bool]:
    """The questions that both answer (sample_id, score, score_b, cluster), and whether their clusters are known.

    Raises: DataError if there are none, or the two do not agree which questions are of one cluster.
    """
    a, b = sides
    shared = a.scores.join(b.scores, on="sample_id", suffix="_b").sort("sample_id")
    if not len(shared):
        raise DataError(
            f"'{a.name}' and '{b.name}' have no sample_id in common (such as '{a.scores['sample_id'][0]}' and "
            f"'{b.scores['sample_id'][0]}'); expected answers to the same questions."
        )
    if a.clustered and b.clustered:
        pairs = shared.select("cluster", "cluster_b").unique()
        if not len(pairs) == pairs["cluster"].n_unique() == pairs["cluster_b"].n_unique():
            raise DataError(
                f"'{a.name}' and '{b.name}' do not agree which questions share an image; name the benchmark table."
            )
    if b.clustered and not a.clustered:
        shared = shared.with_columns(cluster="cluster_b")
    return shared, a.clustered or b.clustered
