"""Scores of answers from a study's tables, or from those of other tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pruning_regimes import scoring, tables
from pruning_regimes.jobs.errors import DataError, nearest
from pruning_regimes.jobs.paths import expanded, neighbour
from pruning_regimes.scoring.clusters import clusters
from pruning_regimes.tables.contracts import DENSE, SCHEMAS


@dataclass(frozen=True)
class Answers:
    """The scores of one set of answers.

    Attributes:
        name: what it is.
        scores: a row per question: sample_id, score in [0, 1], cluster.
        clustered: whether it is known which questions share an image; if not, each is a cluster of its own.
    """

    name: str
    scores: pl.DataFrame
    clustered: bool


def read(
    at: str, source: str | Path | pl.DataFrame, variant: str | None, benchmark: str | Path | None, mode: str
) -> Answers:
    """Scores of a predictions or scores table, or of any with the columns sample_id and score.

    Args:
        at: a or b, by which an error calls it.
        source: a file, or the table itself.
        variant: which one of a table that holds several, by its id or by what the study calls it.
        benchmark: the benchmark table; that of the study if not given.
        mode: how predictions are scored, clean or upstream.

    Raises: DataError if the table cannot be read or scored, or does not say which variant is meant.
    """
    path = None if isinstance(source, pl.DataFrame) else _file(at, source)
    name = at.upper() if path is None else str(source)
    table = source if path is None else _table(at, path)
    if "variant_id" in table.columns:
        table, chosen = _of_variant(at, name, table, variant, _labels(path))
        name += f" ({chosen})"
    elif variant is not None:
        raise DataError(f"variant_{at}: {name} has no column 'variant_id', so it holds no variants; leave it out.")
    questions = None if benchmark is None else tables.read(_file("benchmark", benchmark), "benchmark")
    if set(SCHEMAS["predictions"]) <= set(table.columns):
        questions = _questions(name, path) if questions is None else questions
        # Every question a cluster of its own: what is known of them comes below.
        table = scoring.score(questions, tables.frame("predictions", table), mode).drop("cluster")
    scores = _scores(name, table)
    if questions is not None:
        of = clusters(questions)
        strange = scores.filter(~pl.col("sample_id").is_in(list(of)))
        if len(strange):
            raise DataError(f"{name} has the sample_id '{strange['sample_id'][0]}', which the benchmark does not ask.")
        known = pl.col("sample_id").replace_strict(of, return_dtype=pl.String)
        return Answers(name, scores.with_columns(cluster=known), True)
    return Answers(name, scores, "cluster" in table.columns)


def _file(at: str, stated: str | Path) -> Path:
    path = expanded(at, str(stated))
    if not path.is_file():
        raise DataError(f"{at}: there is no file '{stated}'; {neighbour(path)}")
    return path


def _table(at: str, path: Path) -> pl.DataFrame:
    """A file of any format as a frame; of formats without types, the columns that can matter."""
    if path.suffix == ".parquet":
        with tables.parquet(path):
            return pl.read_parquet(path)
    from pruning_regimes.benchmarks.custom import FORMATS  # slow to import
    from pruning_regimes.benchmarks.sources import read_rows

    if path.suffix not in FORMATS:
        raise DataError(f"{at}: '{path.name}' ends in '{path.suffix}'; expected one of {', '.join(FORMATS)}.")
    rows = read_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame({name: pl.Series([row.get(name) for row in rows], strict=False) for name in names})


def _scores(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """The columns sample_id, score and cluster, where a question without a cluster is one of its own.

    Raises: DataError if a column is missing, a question is there twice, or a score is no number between 0 and 1.
    """
    for column in ("sample_id", "score"):
        if column not in table.columns:
            raise DataError(f"{name} has no column '{column}'; {nearest(column, table.columns)}")
    if table["score"].dtype.is_nested():
        raise DataError(f"{name}: the scores are no numbers; expected scores from 0 to 1.")
    sample = pl.col("sample_id").cast(pl.String)
    cluster = pl.col("cluster").cast(pl.String).fill_null(sample) if "cluster" in table.columns else sample
    try:
        found = table.select(sample_id=sample, score=pl.col("score").cast(pl.Float64, strict=False), cluster=cluster)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{name}: {str(error).splitlines()[0]}; expected scores from 0 to 1.") from error
    fit = pl.col("sample_id").is_not_null() & pl.col("score").is_between(0, 1) & pl.col("score").is_not_nan()
    wrong = table.filter(found.select(fit.fill_null(False).not_()).to_series())
    if len(wrong):
        row = wrong.row(0, named=True)
        raise DataError(f"{name}: the score of '{row['sample_id']}' is {row['score']}; expected a number from 0 to 1.")
    twice = found.filter(pl.col("sample_id").is_duplicated())
    if len(twice):
        raise DataError(
            f"{name} has the sample_id '{twice['sample_id'][0]}' more than once; each question counts once."
        )
    return found


def _of_variant(
    at: str, name: str, table: pl.DataFrame, wanted: str | None, labels: dict[str, list[str]]
) -> tuple[pl.DataFrame, str]:
    """The rows of one variant, and what it is called.

    Raises: DataError if there are several and none is named, or the named one is not there.
    """
    ids = table["variant_id"].unique(maintain_order=True).to_list()
    called = {variant: ", ".join(labels.get(variant, [variant])) for variant in ids}
    if wanted is None and len(ids) == 1:
        wanted = ids[0]
    chosen = [variant for variant in ids if wanted in (variant, *labels.get(variant, ()))]
    if wanted is None and not chosen:
        names = [labels.get(variant, [variant])[0] for variant in ids]
        raise DataError(f"variant_{at}: {name} holds {len(ids)} variants; {nearest('', names)}")
    if not chosen:
        names = [label for variant in ids for label in labels.get(variant, [variant])]
        raise DataError(f"variant_{at}: '{wanted}' is not in {name}; {nearest(wanted, names)}")
    return table.filter(pl.col("variant_id") == chosen[0]), called[chosen[0]]


def _place(path: Path | None) -> tuple[Path, str, str] | None:
    """Results, model and benchmark of a study whose predictions or scores table a file is; None if it is not."""
    if path is None:
        return None
    folders = [folder.name for folder in path.absolute().parents]
    for kind, depth in (("predictions", 2), ("scores", 1)):
        if len(folders) > depth and folders[depth] == kind:
            model, benchmark = (folders[1], folders[0]) if depth == 2 else (folders[0], path.stem)
            return path.absolute().parents[depth + 1], model, benchmark
    return None


def _questions(name: str, path: Path | None) -> pl.DataFrame:
    """The benchmark table of the study in which a predictions table lies."""
    place = _place(path)
    if place is None:
        raise DataError(f"benchmark: {name} holds predictions; expected the benchmark table to score them with.")
    results, _, benchmark = place
    return tables.read(results / "benchmarks" / f"{benchmark}.parquet", "benchmark")


def _labels(path: Path | None) -> dict[str, list[str]]:
    """variant_id -> `dense`, or each `CRITERION/BUDGET[-replicateN]` that it is, in the study in which a table lies."""
    place = _place(path)
    file = place and place[0] / "variants" / f"{place[1]}.parquet"
    if file is None or not file.is_file():
        return {}
    labels: dict[str, list[str]] = {}
    columns = ("variant_id", "criterion", "budget", "replicate")
    for variant, criterion, budget, replicate in tables.read(file, "variants").select(columns).iter_rows():
        label = criterion if criterion == DENSE else f"{criterion}/{budget}"
        labels.setdefault(variant, []).append(label + (f"-replicate{replicate}" if replicate else ""))
    return labels
