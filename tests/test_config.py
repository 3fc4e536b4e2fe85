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

from pruning_regimes import config as configs
from pruning_regimes.errors import ConfigError

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture
def study(model_directory: Path) -> dict[str, Any]:
    """The shipped config with one model of 12 or 14 layers."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["models"] = {"tiny": {"path": str(model_directory)}}
    return config


def test_the_shipped_config_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    configs.complete(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()), SCHEMA)


def test_defaults_are_filled_in_and_keys_take_the_schemas_order(study: dict[str, Any]) -> None:
    del study["statistics"], study["figures"]
    study["benchmarks"]["chart"] = {"group": "math", "source": "demo"}
    configs.complete(study, SCHEMA)
    assert study["statistics"] == {"resamples": 2000, "confidence": 0.95}
    assert study["figures"]["similarity"]["token_group"] == "all"
    assert list(study["benchmarks"]["chart"]) == ["source", "group", "samples", "max_new_tokens"]
    assert list(study["criteria"]["random"]) == ["kind", "replicates"]
    again = copy.deepcopy(study)
    configs.complete(again, SCHEMA)
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
    (
        lambda c: c["criteria"]["last"].update(kind="lats"),
        r"^criteria\.last\.kind: unknown criterion 'lats'.*'last'\?$",
    ),
    (lambda c: c["criteria"]["last"].update(weights={"math": 1}), r"^criteria\.last\.weights: .* takes no 'weights'"),
    (lambda c: c["criteria"]["mixed"].pop("weights"), r"^criteria\.mixed: the key 'weights' is missing"),
    (lambda c: c["criteria"]["mixed"]["weights"].update(mth=1), r"^criteria\.mixed\.weights\.mth: unknown .*'math'\?$"),
    (lambda c: c["criteria"]["mixed"].update(weights={"math": 0}), r"^criteria\.mixed\.weights: all weights are 0"),
    (lambda c: c["criteria"].update(dense={"kind": "last"}), r"^criteria: the key 'dense' is taken"),
    (lambda c: c["benchmarks"].update(chrt=c["benchmarks"]["chart"]), r"^benchmarks\.chrt: unknown .* 'chart'\?$"),
    (lambda c: c["benchmarks"]["chart"].update(source="table"), r"^benchmarks\.chart: the key 'path' is missing"),
    (lambda c: c["benchmarks"]["chart"].update(path="x"), r"^benchmarks\.chart\.path: source 'demo' takes no path"),
    (lambda c: c["domains"]["math"].pop("benchmarks"), r"^domains\.math: the key 'benchmarks' is missing"),
    (lambda c: c["domains"]["math"]["benchmarks"].append("chat"), r"^domains\.math\.benchmarks\.3: 'chat' .* 'chart'"),
    (lambda c: c["figures"]["regimes"].update(hight=1), r"^figures\.regimes\.hight: unknown key .* 'height'\?$"),
    (lambda c: c["statistics"].update(confidence=1), r"^statistics\.confidence: 1 is out of range"),
]


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES)
def test_a_mistake_gets_one_sentence(study: dict[str, Any], mistake: Callable, sentence: str) -> None:
    mistake(study)
    with pytest.raises(ConfigError, match=sentence) as caught:
        configs.complete(study, SCHEMA)
    assert "\n" not in str(caught.value)


def test_a_missing_model_directory_is_named_with_its_nearest_neighbour(study: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "llava-7b").mkdir()
    study["models"]["tiny"]["path"] = str(tmp_path / "llava-8b")
    with pytest.raises(ConfigError, match=r"^models\.tiny\.path: '.*llava-8b' is no model directory.*llava-7b'\?$"):
        configs.complete(study, SCHEMA)


def test_a_hub_id_is_not_taken_for_a_directory(study: dict[str, Any]) -> None:
    study["models"]["tiny"]["path"] = "owner/some-model"
    configs.complete(study, SCHEMA)


@given(st.integers(2, 200), st.integers(1, 999))
def test_a_fraction_is_rounded_half_up_in_decimals(n_layers: int, thousandths: int) -> None:
    exact = Fraction(thousandths, 1000) * n_layers
    expected = max(1, (exact + Fraction(1, 2)).__floor__())
    assert configs.n_removed(thousandths / 1000, n_layers) == expected


@given(st.integers(2, 200), st.integers(1, 199))
def test_a_whole_number_is_a_count(n_layers: int, count: int) -> None:
    assert configs.n_removed(count, n_layers) == configs.n_removed(str(count), n_layers) == count
