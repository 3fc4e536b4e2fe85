"""Every known benchmark, from rows as the hub has them to its own metrics: asked, answered by pruned models, scored."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import polars as pl
import pytest

from pruning_regimes import scoring, tables
from pruning_regimes.benchmarks import registry
from pruning_regimes.criteria import layer_list
from pruning_regimes.criteria.variants import collect, dense_id
from pruning_regimes.demo import models as demo_models
from pruning_regimes.evaluation import grid
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder
from pruning_regimes.scoring import aggregates, clusters
from tests.helpers import asked, miniatures
from tests.helpers.criteria_tables import entry, plain

N, TOKENS = 12, 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> loading.Loaded:
    """A model that takes any number of images."""
    directory = tmp_path_factory.mktemp("tiny")
    model, processor = demo_models.build("idefics3", seed=3)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return loading.load({"path": str(directory), "revision": "main", "dtype": "float32", "gpus": 0}, threads=1)


@pytest.mark.parametrize("name", miniatures.NAMES)
def test_a_known_benchmark_is_asked_answered_and_scored(name: str, tiny: loading.Loaded, tmp_path: Path) -> None:
    miniatures.write(name, tmp_path / "rows", N)
    questions = asked.load(name, tmp_path / "rows")
    scoring.check(name, questions)
    lists = layer_list(entry("last"), plain(find_decoder(tiny.model).n_layers), [1, 2])
    variants = collect("tiny", "r", {"last": lists})
    paths = {budget: tmp_path / f"{budget}.parquet" for budget in set(variants["budget"])}
    grid.answer_all(tiny, questions, variants, grid.Journal(paths, {}), 4, TOKENS)
    answers = pl.concat(tables.read(path, "predictions") for path in paths.values())
    assert len(answers) == 3 * len(questions) and answers["error"].null_count() == len(answers)
    for mode in scoring.MODES:
        score = partial(scoring.score, mode=mode)
        scores = tables.frame("scores", clusters.clustered(score(questions, answers), questions))
        assert len(scores) == len(answers) and scores["score"].is_between(0, 1).all()
        dense = answers.filter(pl.col("variant_id") == dense_id(variants))
        own = registry.entry(name)["metrics"]
        usual, metrics = aggregates.metrics(questions, scores, []), aggregates.metrics(questions, scores, own)
        assert len(metrics) > len(usual) if own else metrics.equals(usual)
        assert set(metrics["variant_id"]) == set(variants["variant_id"])
        both = tables.frame("metrics", pl.concat([metrics, aggregates.baselines(questions, dense, score, seed=1)]))
        assert {"accuracy", "unparsed_rate", "constant_answer", "shuffled_answer"} <= set(both["metric"])
