"""Layers that criteria remove, from a folder of similarity tables: those of the workflow, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pruning_regimes import api
from pruning_regimes.config.criteria import complete_criteria
from pruning_regimes.config.study import sentence
from pruning_regimes.criteria import layer_list, registry
from pruning_regimes.criteria.stored import read_study
from pruning_regimes.jobs.errors import ConfigError, DataError
from pruning_regimes.measurement import similarity, similarity_tables
from tests.helpers import ROOT
from tests.helpers.own_files import DOMAINS, Drawn, questions

DEMO = ROOT / "workflow" / "resources" / "demo-llava"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Similarity tables of two domains."""
    place = tmp_path_factory.mktemp("similarity")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(similarity, "measure", Drawn())
        api.similarity(DEMO, {domain: questions(place, domain, 6) for domain in DOMAINS}, place / "out")
    return place / "out"


def of_workflow(folder: Path, key: str, config: dict[str, Any], budgets: list[float], **others: Any) -> dict[str, Any]:
    """budget -> layers that the workflow's own steps remove."""
    complete_criteria({"criteria": config, "domains": ["general", "math"]}, sentence)
    paths = zip(*(similarity_tables.paths(folder, domain) for domain in ("general", "math")), strict=True)
    study = read_study(folder / "decoder.parquet", (), 0, ["general", "math"], *paths, windows=())
    table = layer_list(config[key], study, budgets).filter("removed").sort("order")
    return {budget: part["layer"].to_list() for (budget,), part in table.group_by("budget")}


@pytest.mark.parametrize("key", ["math_aware", "non_math_aware", "mixed", "block_influence", "contiguous", "uniform"])
def test_layers_are_those_of_the_workflow(folder: Path, key: str) -> None:
    found = api.rank(folder, [key], [2, 0.25])
    expected = of_workflow(folder, key, {key: {}}, [2, 0.25])
    assert dict(found.select("budget", "removed").rows()) == expected
    assert found["n_removed"].to_list() == [2, 3] and found["criterion"].to_list() == [key] * 2


def test_parameters_are_written_behind_the_kind(folder: Path) -> None:
    texts = {
        "contrast:domain=math,against=general": {"kind": "contrast", "domain": "math", "against": "general"},
        "domain:weights={math=2, general=-1}, token_group=all": {
            "kind": "domain",
            "weights": {"math": 2, "general": -1},
        },
        "last:keep_last=true": {"kind": "last", "keep_last": True},
        "block_influence": {},
    }
    found = api.rank(folder, list(texts), [3])
    assert found["criterion"].to_list() == list(texts)
    named = api.rank(folder, {name.split(":")[0]: parameters for name, parameters in texts.items()}, [3])
    assert found["removed"].to_list() == named["removed"].to_list()
    assert found["removed"][2].to_list() == [10, 9, 8]


def test_a_criterion_that_wraps_another_brings_it_along(folder: Path) -> None:
    found = api.rank(folder, ["spaced:of=mixed,gap=3"], [4])
    assert found["criterion"].to_list() == ["spaced:of=mixed,gap=3"]
    named = api.rank(folder, {"mine": {"kind": "mixed"}, "apart": {"kind": "spaced", "of": "mine", "gap": 3}}, [4])
    assert named["removed"][1].to_list() == found["removed"][0].to_list()


def test_protected_layers_stay_and_seeds_decide(folder: Path) -> None:
    found = api.rank(folder, ["random:replicates=2"], [5], protected=[0, -1], seed=1)
    assert found["replicate"].to_list() == [0, 1]
    assert not {0, 11} & set(found["removed"].explode())
    assert found.equals(api.rank(folder, ["random:replicates=2"], [5], protected=[0, -1], seed=1))
    other = api.rank(folder, ["random:replicates=2"], [5], protected=[0, -1], seed=2)
    assert not found.equals(other)


def test_the_tables_of_a_study_are_ranked(folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "results" / "similarity" / "m"
    shutil.copytree(folder, study)
    shutil.copy(
        study / "math.blocks.parquet", study / "profile.blocks.parquet"
    )  # the workflow's summary of all domains
    (tmp_path / "results" / "models").mkdir()
    shutil.move(study / "decoder.parquet", tmp_path / "results" / "models" / "m.parquet")
    assert api.rank(study, ["block_influence"], [2]).equals(api.rank(folder, ["block_influence"], [2]))
    (tmp_path / "results" / "models" / "m.parquet").unlink()
    with pytest.raises(DataError, match="has no decoder table; expected .*/m/decoder.parquet, or .*/models/m.parquet"):
        api.rank(study, ["mixed"], [2])


def test_a_criterion_of_ones_own_is_applied(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(registry, "_USERS", {})
    file = tmp_path / "mine.py"
    file.write_text(
        "from pruning_regimes.criteria import Order, criterion\n"
        "@criterion('backwards', family='ranking')\n"
        "def backwards(study):\n    return Order(study.candidates[::-1])\n"
    )
    found = api.rank(folder, ["backwards"], [2], criteria_path=file)
    assert found["removed"][0].to_list() == [11, 10]


@pytest.mark.parametrize("kind", ["perplexity", "sleb", "taylor", "interlace", "spaced:of=perplexity"])
def test_criteria_that_need_more_are_sent_to_the_workflow(folder: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"^criteria.{kind}: it needs the .* too, which only the workflow measures"):
        api.rank(folder, [kind], [2])


def test_every_need_of_a_criterion_has_words() -> None:
    from pruning_regimes.api.ranking import NEEDS

    assert NEEDS.keys() == set(registry.NEEDS)


@pytest.mark.parametrize(
    ("criteria", "budgets", "sentence"),
    [
        (["mxed"], [2], r"unknown criterion 'mxed'; did you mean 'mixed'\?$"),
        (["contrast:domain=math,against=genral"], [2], r"'genral' is none of the domains; did you mean 'general'\?$"),
        (["contrast:domain=math"], [2], "the key 'against' is missing"),
        (["spaced:of=mixd"], [2], r"'mixd' is none of the criteria"),
        (["last:keep_last"], [2], "'keep_last' are no parameters; expected parameter=value"),
        (["last:"], [2], "'' are no parameters"),
        (["last:{"], [2], "'{' are no parameters"),
        (["last:keep_lst=true"], [2], r"unknown key in the config; did you mean 'keep_last'\?$"),
        (["mixed"], [12], r"^budgets: 12 removes 12 of the 12 decoder layers"),
        (["mixed"], [1.5], r"^budgets: 1.5 is neither a whole number of layers nor a fraction"),
        (["mixed"], [-1], r"^budgets: -1 is out of range|^budgets\.0: -1 is out of range"),
        (["mixed"], [3, 0.25], r"^budgets: 3 and 0.25 both remove 3"),
        (["mixed"], [], r"^budgets: at least one entry is needed"),
    ],
)
def test_criteria_and_budgets_that_are_none_are_refused(
    folder: Path, criteria: list[str], budgets: list[float], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        api.rank(folder, criteria, budgets)


def test_a_preset_needs_the_domains_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "measure", Drawn())
    api.similarity(DEMO, {"maths": questions(tmp_path, "math", 6)}, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"'math', which 'math_aware' implies, is none of the domains; did you mean"):
        api.rank(tmp_path / "out", ["math_aware"], [2])


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="holds no similarity tables; expected a folder that 'pruning-regimes similarity'"
    ):
        api.rank(tmp_path, ["mixed"], [2])
