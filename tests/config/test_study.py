"""Every mistake in a config gets one sentence; budgets mean what they say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import tables
from pruning_regimes.config import study as configs
from pruning_regimes.demo import datasets
from pruning_regimes.jobs.errors import ConfigError
from pruning_regimes.models import budgets
from tests.helpers import ROOT

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture
def study(model_directory: Path) -> dict[str, Any]:
    """The shipped config with one model of 12 or 14 layers."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["models"] = {"tiny": {"path": str(model_directory)}}
    return config


def test_the_shipped_config_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    configs.complete(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))


def test_defaults_are_filled_in_and_keys_take_the_schemas_order(study: dict[str, Any]) -> None:
    del study["statistics"], study["figures"]
    study["benchmarks"]["chart"] = {"group": "math", "source": "demo"}
    configs.complete(study)
    assert study["statistics"] == {"resamples": 2000, "confidence": 0.95, "margin": 0.05, "keep": 0.9}
    assert study["figures"]["similarity"]["token_group"] == "all"
    assert list(study["benchmarks"]["chart"]) == ["source", "group", "samples", "max_new_tokens", "scoring"]
    assert study["criteria"]["random"] == {"kind": "random", "replicates": 3}
    again = copy.deepcopy(study)
    configs.complete(again)
    assert again == study


MISTAKES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda c: c.update(modles={}), r"^modles: unknown key in the config; did you mean 'models'\?$"),
    (lambda c: c["models"]["tiny"].update(dtyp="auto"), r"^models\.tiny\.dtyp: unknown key .* 'dtype'\?$"),
    (lambda c: c["models"]["tiny"].update(dtype="float23"), r"^models\.tiny\.dtype: 'float23' .* 'float32'\?$"),
    (lambda c: c["models"]["tiny"].update(batch_size=0), r"^models\.tiny\.batch_size: 0 is out of range"),
    (lambda c: c["models"].update(other=None), r"^models\.other: expected a mapping of keys to values, found null\.$"),
    (lambda c: c["models"].update({"a/b": {"path": "x"}}), r"^models: the key 'a/b' may hold only letters"),
    (lambda c: c.pop("budgets"), r"^the key 'budgets' is missing"),
    (lambda c: c.update(budgets=[]), r"^budgets: at least one entry is needed\.$"),
    (lambda c: c["budgets"].append(0), r"^budgets\.5: 0 is out of range"),
    (lambda c: c["budgets"].append(1.5), r"^budgets: 1\.5 is neither a whole number of layers nor a fraction"),
    (lambda c: c["budgets"].append(True), r"^budgets\.5: expected a number, found true\.$"),
    (lambda c: c["budgets"].append(3), r"^budgets: 3 stands there twice"),
    (
        lambda c: c["budgets"].append(0.3),
        r"^budgets: 4 and 0\.3 both remove 4 of the 1[24] decoder layers of models\.t",
    ),
    (lambda c: c["budgets"].append(14), r"^budgets: 14 removes 14 of the 1[24] .* between 1 and 1[13]\.$"),
    (lambda c: c["criteria"].update(dense={"kind": "last"}), r"^criteria: the key 'dense' is taken"),
    (lambda c: c["benchmarks"].update(chrt=c["benchmarks"]["chart"]), r"^benchmarks\.chrt: unknown .* 'chart'\?$"),
    (lambda c: c["benchmarks"]["chart"].update(source="table"), r"^benchmarks\.chart: the key 'path' is missing"),
    (lambda c: c["benchmarks"]["chart"].update(path="x"), r"^benchmarks\.chart\.path: source 'demo' takes no 'path'"),
    (lambda c: c["domains"]["math"].pop("benchmarks"), r"^domains\.math: the key 'benchmarks' is missing"),
    (lambda c: c["domains"]["math"]["benchmarks"].append("chat"), r"^domains\.math\.benchmarks\.3: 'chat' .* 'chart'"),
    (lambda c: c["figures"]["regimes"].update(hight=1), r"^figures\.regimes\.hight: unknown key .* 'height'\?$"),
    (lambda c: c["domains"].update(profile=c["domains"]["math"]), r"^domains: the key 'profile' is taken by"),
    (lambda c: c["domains"]["math"]["benchmarks"].append("chart"), r"^domains\.math\.benchmarks: 'chart' stands there"),
    (lambda c: c["models"].update({1: c["models"]["tiny"]}), r"^models\.1: a key must be text"),
    (
        lambda c: c["criteria"]["mixed"].update(weights={"math": float("nan")}),
        r"^criteria\.mixed\.weights\.math: nan is no",
    ),
    (lambda c: c["models"]["tiny"].update(path=str(SCHEMA) + "/x/y"), r"^models\.tiny\.path: .* is no model directory"),
    (lambda c: c["models"]["tiny"].update(path="~nosuchuser/x"), r"^models\.tiny\.path: .* names a user"),
    (lambda c: c["models"]["tiny"].update(path="x{a}/y"), r"^models\.tiny\.path: 'x\{a\}/y' holds a brace"),
    (lambda c: c["models"]["tiny"].update(path=str(ROOT)), r"^models\.tiny\.path: .* \(it has no config\.json\)"),
    (
        lambda c: c["domains"]["math"].update(source="table", path=str(SCHEMA)),
        r"^domains\.math\.benchmarks: source 'table' takes no 'benchmarks'",
    ),
    (
        lambda c: c["benchmarks"]["chart"].update(source="table", path=str(SCHEMA)),
        r"^benchmarks\.chart\.path: .*config\.schema\.yaml cannot be read as a Parquet table",
    ),
    (lambda c: c["benchmarks"]["chart"].update(group="all"), r"^benchmarks\.chart\.group: 'all' is what the mean over"),
    (lambda c: c["benchmarks"]["chart"].update(group="a/b"), r"^benchmarks\.chart\.group: 'a/b' may hold only letters"),
    (
        lambda c: c["models"]["tiny"].update(protected=[-15]),
        r"^models\.tiny\.protected: -15 is no decoder layer; .* 0 to 1",
    ),
    (
        lambda c: c["models"]["tiny"].update(protected=[*range(9), -1]),
        r"^budgets: \S+ removes \d of the 1[24] .* only [24] may be removed; protected are 0, 1, .*, 8, 1[13]\.$",
    ),
    (
        lambda c: c["models"]["tiny"].update(path="owner/name", trust_remote_code=True),
        r"^models\.tiny\.revision: 'main' is no commit; trust_remote_code needs the 40 digits",
    ),
    (lambda c: c["models"]["tiny"].update(attention="spda"), r"^models\.tiny\.attention: 'spda' .* 'sdpa'\?$"),
    (lambda c: c["models"]["tiny"].update(gpus=-1), r"^models\.tiny\.gpus: -1 is out of range"),
    (lambda c: c["models"]["tiny"].update(gpu=1), r"^models\.tiny\.gpu: unknown key .* 'gpus'\?$"),
    (lambda c: c["models"]["tiny"].update(protected=[1, 1]), r"^models\.tiny\.protected: '1' stands there twice"),
    (lambda c: c["statistics"].update(confidence=1), r"^statistics\.confidence: 1 is out of range"),
]


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES)
def test_a_mistake_gets_one_sentence(study: dict[str, Any], mistake: Callable, sentence: str) -> None:
    mistake(study)
    with pytest.raises(ConfigError, match=sentence) as caught:
        configs.complete(study)
    assert "\n" not in str(caught.value)


def test_a_missing_model_directory_is_named_with_its_nearest_neighbour(study: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "llava-7b").mkdir()
    study["models"]["tiny"]["path"] = str(tmp_path / "llava-8b")
    with pytest.raises(ConfigError, match=r"^models\.tiny\.path: '.*llava-8b' is no model directory.*llava-7b'\?$"):
        configs.complete(study)


def test_a_hub_id_is_not_taken_for_a_directory(study: dict[str, Any]) -> None:
    study["models"]["tiny"]["path"] = "owner/some-model"
    configs.complete(study)


def test_a_missing_directory_of_two_parts_is_not_taken_for_a_hub_id(
    study: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "llava-7b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    study["models"]["tiny"]["path"] = "models/llava-8b"
    with pytest.raises(ConfigError, match=r"'models/llava-8b' is no model directory.*'models/llava-7b'\?$"):
        configs.complete(study)


def test_a_table_too_small_is_noticed_before_any_job(study: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    tables.write(datasets.calibration_table(["chart"], 3, seed=0), "calibration", path, {})
    study["domains"]["math"] = {"source": "table", "path": str(path), "samples": 3.0}
    configs.complete(study)
    assert study["domains"]["math"]["samples"] == 3 and isinstance(study["domains"]["math"]["samples"], int)
    study["domains"]["math"]["samples"] = 4
    with pytest.raises(ConfigError, match=r"^domains\.math\.samples: 4 samples .* holds 3; ask for at most 3\.$"):
        configs.complete(study)
    study["benchmarks"]["chart"] = {"source": "table", "path": str(path), "group": "math", "samples": 3}
    study["domains"]["math"]["samples"] = 3
    with pytest.raises(ConfigError, match=r"^benchmarks\.chart\.path: .* lacks the column 'choices'"):
        configs.complete(study)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_model_config_gets_one_sentence(study: dict[str, Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    study["models"]["tiny"]["path"] = str(tmp_path)
    with pytest.raises(ConfigError, match=r"^models\.tiny\.path: .*config\.json cannot be read") as caught:
        configs.complete(study)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("models:\n  a: {path: x}\n  b: {path: y}\nbudgets: [{a: 1}, {a: 2}]\n")
    configs.refuse_repeated_keys(file)
    file.write_text("models:\n  a: {path: x}\n  b: {path: y}\n  a: {path: z}\n")
    with pytest.raises(ConfigError, match=r"the key 'models\.a' stands on line 2 and again on line 4"):
        configs.refuse_repeated_keys(file)


def test_a_tiny_fraction_removes_one_layer_and_has_a_plain_name() -> None:
    assert budgets.n_removed(0.00001, 12) == budgets.n_removed(budgets.budget_name(0.00001), 12) == 1
    assert [budgets.budget_name(budget) for budget in (4, 0.5, 0.00001)] == ["4", "0.5", "0.00001"]


@given(st.integers(2, 200), st.integers(1, 999))
def test_a_fraction_is_rounded_half_up_in_decimals(n_layers: int, thousandths: int) -> None:
    exact = Fraction(thousandths, 1000) * n_layers
    expected = max(1, (exact + Fraction(1, 2)).__floor__())
    assert budgets.n_removed(thousandths / 1000, n_layers) == expected


@given(st.integers(2, 200), st.integers(1, 199))
def test_a_whole_number_is_a_count(n_layers: int, count: int) -> None:
    assert budgets.n_removed(count, n_layers) == budgets.n_removed(str(count), n_layers) == count
