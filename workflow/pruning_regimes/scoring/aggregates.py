"""What a benchmark reports besides its accuracy: pairs, circular questions, worst cases, yes and no, and baselines.

Sources: MME (Fu et al. 2023), MMBench (Liu et al. 2023), We-Math (Qiao et al. 2024), DynaMath (Zou et al. 2024),
HallusionBench (Guan et al. 2024), MMStar (Chen et al. 2024), POPE (Li et al. 2023) for precision, recall and F1.
Pure functions: a changed metric is computed anew without a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from string import ascii_uppercase

import numpy as np
import polars as pl

from pruning_regimes.jobs.errors import ConfigError, DataError, nearest
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import UNPARSED

BASELINE = "baseline"  # stands for a variant in the rows of the baselines
PERMUTATIONS = 10
COMMON = 3  # letters and texts that are tried as the constant answer

# MME's categories by the two parts that its authors report.
MME_PARTS = {
    "perception": ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork")
    + ("OCR",),
    "cognition": ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
}
MME_CATEGORIES = tuple(category for part in MME_PARTS.values() for category in part)

KEYS = ["variant_id", "sample_id"]
RIGHT = pl.col("score") == 1
RIGHT_ALL = pl.col("all")
ScoreRows = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]


def metrics(questions: pl.DataFrame, scores: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The metrics of every variant: accuracy, unparsed_rate, error_rate, and the named aggregates.

    Values are shares from 0 to 1, but for MME's totals, which are points. An answer that failed or could not be read
    counts as wrong. A metric of which nothing is left to measure, such as that of groups which a subsample broke, has
    no row.

    Args:
        questions: the benchmark table; aggregates of groups read their fields from `metadata`.
        scores: the scores table of any number of variants.
        names: names of AGGREGATES.

    Returns: the metrics table, the variants in the order of `scores`.

    Raises: ConfigError for an unknown name; DataError if a question lacks what an aggregate needs.
    """
    for name in names:
        if name not in AGGREGATES:
            raise ConfigError(f"There are no metrics '{name}'; {nearest(name, AGGREGATES)}")
    about = questions.select("sample_id", "choices", "answers", "metadata")
    # Two budgets may stand for one set of layers, whose answers are then there twice.
    rows = scores.unique(KEYS, keep="first", maintain_order=True)
    rows = rows.join(about, on="sample_id", how="inner", maintain_order="left")
    parts = [_always(rows), *(AGGREGATES[name](rows) for name in names)]
    found = pl.concat(parts).filter(pl.col("n") > 0)
    order = pl.Enum(rows["variant_id"].unique(maintain_order=True))
    return frame("metrics", found.sort(pl.col("variant_id").cast(order), maintain_order=True))


def _always(rows: pl.DataFrame) -> pl.DataFrame:
    return _means(
        rows,
        accuracy=pl.col("score"),
        unparsed_rate=pl.col("method") == UNPARSED,
        error_rate=pl.col("error").is_not_null(),
    )


def _yesno(rows: pl.DataFrame) -> pl.DataFrame:
    """Of "yes": its rate among all answers, precision, recall, F1. What could not be read is neither yes nor no.

    An answer that a judge found right is what it should be. n is what each is a share of; of F1, the questions with
    the answer yes and the answers yes.
    """
    gold = pl.col("answers").list.first().str.to_lowercase()
    answered = pl.when(RIGHT).then(gold).otherwise(pl.col("extracted").str.to_lowercase())
    rows = rows.with_columns(gold=gold, said=(answered == "yes").fill_null(False))
    _known(rows, "gold", ("yes", "no"), "answer")
    asked, said = pl.col("gold") == "yes", pl.col("said")
    of_asked, of_said = rows.filter(asked), rows.filter(said)
    parts = [_means(rows, yes_rate=said), _means(of_said, precision=asked), _means(of_asked, recall=said)]
    # 2 both / (asked + said), as a mean over the two one below the other.
    return pl.concat([*parts, _means(pl.concat([of_asked, of_said]), f1=asked & said)])


def _mme(rows: pl.DataFrame) -> pl.DataFrame:
    """acc of questions and acc_plus of pairs (the two questions of an image), per category, and the totals.

    A total is the sum over its categories of 100 (acc + acc_plus); it needs all of them. n: questions or pairs; of a
    total, questions.
    """
    _known(rows, "category", MME_CATEGORIES, "category")
    rows = _with_fields(rows, "pair")
    pairs = _groups(rows, "category", "pair").filter(pl.col("size") == 2)
    acc = _means(rows, by="category", acc=pl.col("score"))
    plus = _means(pairs, by="category", acc_plus=RIGHT_ALL)
    parts = []
    for part, categories in MME_PARTS.items():
        of_part = pl.concat([acc, plus]).filter(pl.col("metric").str.extract("/(.*)").is_in(categories))
        total = of_part.group_by("variant_id", maintain_order=True).agg(
            metric=pl.lit(part),
            value=100 * pl.col("value").sum(),
            n=pl.col("n").filter(pl.col("metric").str.starts_with("acc/")).sum(),
            found=pl.len(),
        )
        parts.append(_rows(total.filter(pl.col("found") == 2 * len(categories))))
    return pl.concat([_means(pairs, acc_plus=RIGHT_ALL), acc, plus, *parts])


def _circular(rows: pl.DataFrame) -> pl.DataFrame:
    """A question is right only if it is right with its options in every rotation, of which it has one per option."""
    rows = _with_fields(rows, "base")
    _known(rows, "choices", None, "choices")
    rolls = rows.group_by("base").agg(rolls=pl.col("choices").list.len().max())
    groups = _groups(rows, "base").join(rolls, on="base", maintain_order="left")
    return _means(groups.filter(pl.col("size") >= pl.col("rolls")), circular_accuracy=RIGHT_ALL)


def _wemath(rows: pl.DataFrame) -> pl.DataFrame:
    """What the one-step questions of a problem and the problem itself say together; n counts complete problems.

    cm: complete mastery; ig: inadequate generalisation (steps right, problem wrong); ik: insufficient knowledge (a
    step and the problem wrong); rm: rote memorisation (problem right without the steps), as a share of the problems
    solved. Strict asks for all steps, loose for one of them.
    """
    rows = _with_fields(rows, "ID", "key").with_columns(
        steps=pl.col("key").str.extract(r"^([23])steps_(?:\d|multi)$", 1).cast(pl.Int32),
        problem=pl.col("key").str.ends_with("multi"),
    )
    _known(rows, "steps", None, "key (such as 2steps_1 or 3steps_multi)")
    step, problem = RIGHT.filter(~pl.col("problem")), RIGHT.filter(pl.col("problem"))
    groups = rows.group_by("variant_id", "ID", "steps", maintain_order=True).agg(
        keys=pl.col("key").n_unique(), problems=problem.len(), every=step.all(), some=step.any(), solved=problem.any()
    )
    groups = groups.filter(pl.col("keys") == pl.col("steps") + 1, pl.col("problems") == 1)
    every, some, solved = pl.col("every"), pl.col("some"), pl.col("solved")
    gap, lack = every & ~solved, ~every & ~solved
    parts = [_means(groups, wemath_ig=gap, wemath_ik=lack)]
    for name, mastered in (("strict", every), ("loose", some)):
        value = pl.when(lack | (solved & ~mastered)).then(0.0).when(gap).then(0.5).otherwise(1.0)
        parts += [
            _means(groups, **{f"wemath_cm_{name}": mastered & solved, f"wemath_score_{name}": value}),
            _means(groups.filter(solved), **{f"wemath_rm_{name}": ~mastered}),
        ]
    return pl.concat(parts)


def _dynamath(rows: pl.DataFrame) -> pl.DataFrame:
    """The average over all questions, and the share of those right in every variant that the benchmark table has."""
    rows = _with_fields(rows, "question_id", "variant")
    groups = _groups(rows, "question_id").filter(pl.col("size") == rows["variant"].n_unique())
    return pl.concat([_means(rows, average=pl.col("score")), _means(groups, worst_case=RIGHT_ALL)])


def _hallusion(rows: pl.DataFrame) -> pl.DataFrame:
    """aAcc of questions; fAcc: all questions of a figure right; qAcc: a question right with all its figures.

    As in the authors' scorer, the figure 0 of the category VS stands for no figure. What a subsample left of a group
    is taken for the group.
    """
    topic = ("category", "subcategory", "set_id")
    rows = _with_fields(rows.drop("category"), *topic, "figure_id", "question_id")
    figures = _groups(rows.filter((pl.col("category") != "VS") | (pl.col("figure_id") != "0")), *topic, "figure_id")
    asked = _groups(rows, *topic, "question_id")
    return pl.concat([_means(rows, aAcc=RIGHT), _means(figures, fAcc=RIGHT_ALL), _means(asked, qAcc=RIGHT_ALL)])


def _category_mean(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean of the categories' accuracies; n: categories."""
    categories = rows.group_by("variant_id", "category", maintain_order=True).agg(pl.col("score").mean())
    return _means(categories, category_mean=pl.col("score"))


def _by_category(rows: pl.DataFrame) -> pl.DataFrame:
    return _means(rows, by="category", accuracy=pl.col("score"))


AGGREGATES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "yesno": _yesno,
    "mme": _mme,
    "circular": _circular,
    "wemath": _wemath,
    "dynamath": _dynamath,
    "hallusion": _hallusion,
    "category_mean": _category_mean,
    "by_category": _by_category,
}


def baselines(questions: pl.DataFrame, dense: pl.DataFrame, score_rows: ScoreRows, seed: int) -> pl.DataFrame:
    """What can be had without looking at the question: rows of the metrics table for the variant 'baseline'.

    constant_answer: the best accuracy of one same answer to all questions, tried with the most frequent reference
    answers and the most frequent option letters. shuffled_answer: the accuracy of the dense model's answers when each
    is given to another question with as many options and of the same answer type, the mean of 10 random exchanges; it
    has no row if there are no answers that can be exchanged, and n counts those that can.

    Args:
        questions: the benchmark table.
        dense: the dense model's predictions, which may be none.
        score_rows: scores predictions, given questions and predictions.
        seed: of the exchanges.
    """
    found = []
    constants = _constants(questions)
    if constants:
        rows = [_answers(questions["sample_id"], [constant] * len(questions), constant) for constant in constants]
        mean = score_rows(questions, pl.concat(rows)).group_by("variant_id").agg(pl.col("score").mean())["score"]
        found.append({"metric": "constant_answer", "value": mean.max(), "n": len(questions)})
    samples, exchanged = _exchanged(questions, dense, np.random.default_rng(seed))
    if samples:
        rows = [_answers(samples, responses, str(number)) for number, responses in enumerate(exchanged)]
        mean = score_rows(questions, pl.concat(rows))["score"].mean()
        found.append({"metric": "shuffled_answer", "value": mean, "n": len(samples)})
    return frame("metrics", [{"variant_id": BASELINE, **row} for row in found])


def _constants(questions: pl.DataFrame) -> list[str]:
    """The most frequent answers as texts and, where the reference answer is an option, as letters."""
    texts: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for answers, choices in questions.select("answers", "choices").iter_rows():
        for answer in dict.fromkeys(answers):
            texts[answer] += 1
            if answer in (choices or ())[: len(ascii_uppercase)]:
                letters[ascii_uppercase[choices.index(answer)]] += 1
    return list(dict.fromkeys(answer for counts in (texts, letters) for answer, _ in counts.most_common(COMMON)))


def _exchanged(
    questions: pl.DataFrame, dense: pl.DataFrame, rng: np.random.Generator
) -> tuple[list[str], list[list[str]]]:
    """Samples whose answers can be exchanged, and per exchange the responses in their order; none keeps its own."""
    alike = questions.select("sample_id", "answer_type", options=pl.col("choices").list.len())
    answered = dense.filter(pl.col("error").is_null()).unique("sample_id", keep="first")
    rows = alike.join(answered.select("sample_id", "response"), on="sample_id").sort("sample_id").with_row_index("at")
    groups = rows.group_by("answer_type", "options", maintain_order=True).agg("at").filter(pl.col("at").list.len() > 1)
    members = [group.to_numpy() for group in groups["at"]]
    if not members:
        return [], []
    texts = rows["response"].to_numpy()
    taken = np.sort(np.concatenate(members))
    exchanged = []
    for _ in range(PERMUTATIONS):
        source = np.arange(len(rows))
        for group in members:
            # Passed on along a random circle, so that all others are equally likely and no answer stays at home.
            circle = rng.permutation(group)
            source[circle] = np.roll(circle, 1)
        exchanged.append(texts[source[taken]].tolist())
    return rows["sample_id"].gather(taken).to_list(), exchanged


def _answers(samples: Sequence[str] | pl.Series, responses: Sequence[str], variant: str) -> pl.DataFrame:
    columns = {"variant_id": variant, "sample_id": samples, "prompt_digest": "", "response": responses}
    table = pl.DataFrame({**columns, "n_tokens": 0, "finish_reason": "", "error": None})
    return frame("predictions", table)


def _with_fields(rows: pl.DataFrame, *fields: str) -> pl.DataFrame:
    """Fields of the metadata as columns of text.

    Raises: DataError if a question lacks one.
    """
    values = {field: pl.col("metadata").str.json_path_match(f"$.{field}") for field in fields}
    known = rows.unique("sample_id").select("sample_id", **values)
    rows = rows.join(known, on="sample_id", how="left", maintain_order="left")
    for field in fields:
        _known(rows, field, None, f"metadata.{field}")
    return rows


def _known(rows: pl.DataFrame, column: str, values: Sequence[str] | None, what: str) -> None:
    """Raises: DataError if the column of a row is null or is none of the values."""
    strange = pl.col(column).is_null() if values is None else ~pl.col(column).is_in(values).fill_null(False)
    found = rows.filter(strange)
    if not len(found):
        return
    sample, value = found["sample_id"][0], found[column][0]
    if values is None or value is None:
        raise DataError(f"Question '{sample}' has no {what}, which a metric of its benchmark needs.")
    raise DataError(f"Question '{sample}' has the {what} '{value}'; {nearest(value, values)}")


def _groups(rows: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Per variant and group: whether `all` its answers are right, and its `size`."""
    return rows.group_by("variant_id", *by, maintain_order=True).agg(all=RIGHT.all(), size=pl.len())


def _means(rows: pl.DataFrame, by: str | None = None, **values: pl.Expr) -> pl.DataFrame:
    """Rows of the metrics table: the mean of each value per variant, or per variant and category (metric/category)."""
    grouped = rows.group_by("variant_id", *([by] if by else []), maintain_order=True)
    found = grouped.agg(pl.len().alias("n"), **{name: value.cast(pl.Float64).mean() for name, value in values.items()})
    if by:
        found = found.sort(by, maintain_order=True)
    label = [pl.lit("/"), pl.col(by)] if by else []
    return pl.concat(
        [_rows(found.with_columns(metric=pl.concat_str(pl.lit(name), *label), value=pl.col(name))) for name in values]
    )


def _rows(found: pl.DataFrame) -> pl.DataFrame:
    return found.select(
        "variant_id", pl.col("metric").cast(pl.String), pl.col("value").cast(pl.Float64), pl.col("n").cast(pl.Int32)
    )
