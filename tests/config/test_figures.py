"""What a schema cannot say of the figures' styles gets one sentence with the key, the value and the nearest choice."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from pruning_regimes.config import study as configs
from pruning_regimes.config.figures import WIDTHS, check_figures
from pruning_regimes.jobs.errors import ConfigError
from tests.helpers import ROOT

FIGURES = list(
    yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())["properties"]["figures"][
        "properties"
    ]
)
WITH_CRITERIA = ("layers", "regimes", "domain_effect", "stability", "overlap", "pareto")


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    """The shipped config, complete."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    for entry in config["models"].values():
        entry["path"] = str(ROOT / entry["path"])
    configs.complete(config)
    return config


def check(shipped: dict[str, Any], figure: str, **style: Any) -> None:
    config = copy.deepcopy(shipped)
    config["figures"][figure].update(style)
    check_figures(config)


def complete(shipped: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    config = copy.deepcopy(shipped)
    change(config["figures"])
    configs.complete(config)
    return config["figures"]


def test_every_figure_has_a_title_and_a_width(shipped: dict[str, Any]) -> None:
    assert list(shipped["figures"]) == FIGURES
    for style in shipped["figures"].values():
        assert style["title"] == "" and style["width"] == "page" and "height" not in style
    assert shipped["figures"]["examples"] == {"title": "", "width": "page", "questions": 4}


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("width", [*WIDTHS, 5, 4.5])
def test_widths_that_are_known_or_inches(shipped: dict[str, Any], figure: str, width: Any) -> None:
    check(shipped, figure, width=width)


@pytest.mark.parametrize("figure", FIGURES)
def test_an_unknown_width(shipped: dict[str, Any], figure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(shipped, figure, width="colum")
    assert str(caught.value) == (
        f"figures.{figure}.width: 'colum' is neither a number of inches nor a known width; did you mean 'column'?"
    )


@pytest.mark.parametrize("figure", WITH_CRITERIA)
def test_criteria_that_the_study_has_or_not(shipped: dict[str, Any], figure: str) -> None:
    check(shipped, figure, criteria=["mixed", "last"])
    with pytest.raises(ConfigError) as caught:
        check(shipped, figure, criteria=["mixed", "lst"])
    assert str(caught.value) == f"figures.{figure}.criteria: the study has no criterion 'lst'; did you mean 'last'?"


@pytest.mark.parametrize(
    ("style", "sentence"),
    [
        ({"model": "demo-lava"}, "model: the study has no model 'demo-lava'; did you mean 'demo-llava'?"),
        ({"criterion": "mixd"}, "criterion: the study has no criterion 'mixd'; did you mean 'mixed'?"),
        (
            {"benchmarks": ["chart", "redding"]},
            "benchmarks: the study has no benchmark 'redding'; did you mean 'reading'?",
        ),
        (
            {"model": "nothing"},
            "model: the study has no model 'nothing'; choose one of demo-llava, demo-idefics3.",
        ),
    ],
    ids=["model", "criterion", "benchmark", "nothing near"],
)
def test_examples_of_what_the_study_does_not_have(
    shipped: dict[str, Any], style: dict[str, Any], sentence: str
) -> None:
    check(shipped, "examples", model="demo-idefics3", criterion="last", benchmarks=["reading"])
    with pytest.raises(ConfigError) as caught:
        check(shipped, "examples", **style)
    assert str(caught.value) == f"figures.examples.{sentence}"


@pytest.mark.parametrize(
    ("figure", "palette", "sentence"),
    [
        ("layers", "Bluse", "matplotlib has no colour map 'Bluse'; did you mean 'Blues'?"),
        ("overlap", "virids", "matplotlib has no colour map 'virids'; did you mean 'viridis'?"),
        ("regimes", "colourblind", "seaborn has no palette 'colourblind'; did you mean 'colorblind'?"),
        ("regimes", {"mixd": "red"}, "'mixd' is not in the figure; did you mean 'mixed'?"),
        ("stability", {"math-aware": "red"}, "'math-aware' is not in the figure; did you mean 'math_aware'?"),
        ("domain_effect", {"mixed": "red"}, "'mixed' is not in the figure; choose one of math, general."),
        ("similarity", {"mth": "red"}, "'mth' is not in the figure; did you mean 'math'?"),
    ],
)
def test_colours_that_are_not_there(shipped: dict[str, Any], figure: str, palette: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(shipped, figure, palette=palette)
    assert str(caught.value) == f"figures.{figure}.palette: {sentence}"


def test_a_colour_that_is_none(shipped: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        check(shipped, "regimes", palette={"mixed": "#12345"})
    assert str(caught.value) == "figures.regimes.palette.mixed: '#12345' is no colour; write a name or '#RRGGBB'."


@pytest.mark.parametrize(
    ("figure", "palette"),
    [
        ("layers", "magma"),
        ("regimes", "Set2"),
        ("regimes", {"mixed": "tab:red", "last": "#123456"}),
        ("similarity", {"math": "k"}),
    ],
)
def test_colours_that_are_there(shipped: dict[str, Any], figure: str, palette: Any) -> None:
    check(shipped, figure, palette=palette)


def test_what_the_schema_refuses(shipped: dict[str, Any]) -> None:
    cases = {
        r"^figures\.examples\.questions: 0 is out of range": lambda figures: figures["examples"].update(questions=0),
        r"^figures\.examples\.criteria: unknown key .*'criterion'": lambda f: f["examples"].update(criteria=["last"]),
        r"^figures\.exmples: unknown key .* did you mean 'examples'": lambda figures: figures.update(exmples={}),
        r"^figures\.examples\.benchmarks: at least one": lambda figures: figures["examples"].update(benchmarks=[]),
        r"^figures\.regimes\.width: 0 is out of range": lambda figures: figures["regimes"].update(width=0),
        r"^figures\.layers\.criteria: 'last' stands there twice": (
            lambda figures: figures["layers"].update(criteria=["last", "last"])
        ),
    }
    for sentence, change in cases.items():
        with pytest.raises(ConfigError, match=sentence):
            complete(shipped, change)
