"""A user's own criteria: registered from a file, checked, and used like any other."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from pruning_regimes import tables
from pruning_regimes.config import study as configs
from pruning_regimes.criteria import Order, Structure, Study, by_score, criterion, layer_list, registry
from pruning_regimes.jobs.errors import ConfigError
from tests.helpers import ROOT
from tests.helpers.criteria_tables import completed, entry, order, plain, random_study

RANKING = ROOT / "scripts" / "ranking.py"
HEADER = "from pruning_regimes.criteria import Order, Structure, by_score, criterion\n"
# Removes every other layer from a start, then the rest; uses what a module may: annotations, dataclasses, constants.
MINE = '''from __future__ import annotations

from dataclasses import dataclass

from pruning_regimes.criteria import Choice, Order, Study, criterion

STEP = 2


@dataclass
class Start:
    layer: int


@criterion(
    "every_other",
    family="structure",
    parameters={
        "start": {"description": "First layer.", "type": "integer", "minimum": 0, "default": 0},
        "domain": {"description": "A domain.", "type": "string", "names": "domains"},
    },
    sampled=False,
)
def every_other(study: Study, start: int, domain: str) -> Choice:
    """Every other layer."""
    from_here = [layer for layer in study.candidates if layer % STEP == Start(start).layer % STEP and layer >= start]
    return Order([*from_here, *(layer for layer in study.candidates if layer not in from_here)])
'''


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a test registers."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(registry, "_USERS", dict(registry._USERS))
    yield


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's file."""
    file = tmp_path / "my-criteria.py"
    file.write_text(MINE)
    return file


def written(folder: Path, text: str) -> str:
    """The path of a file of criteria."""
    file = folder / "criteria_of_a_user.py"
    file.write_text(HEADER + text)
    return str(file)


def test_a_file_registers_criteria_that_are_used_like_any_other(mine: Path) -> None:
    assert not registry.is_users("last")
    entries = completed(
        {"every_other": {"domain": "math"}, "odd": {"kind": "every_other", "start": 1.0, "domain": "general"}},
        criteria_path=str(mine),
    )
    assert entries["every_other"] == {"kind": "every_other", "start": 0, "domain": "math"}
    assert list(entries["odd"]) == ["kind", "start", "domain"] and type(entries["odd"]["start"]) is int
    assert order(entries["every_other"], plain(6)) == [0, 2, 4, 1, 3]
    assert order(entries["odd"], plain(6, protected=[3])) == [1, 5, 0, 2, 4]
    assert registry.is_users("every_other") and not registry.is_users("last")
    assert registry.get("every_other").definition == "Every other layer."


def test_a_config_is_completed_with_it_more_than_once(mine: Path, model_directory: Path) -> None:
    def config() -> dict[str, Any]:
        found = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
        found["models"] = {"tiny": {"path": str(model_directory)}}
        found["criteria"]["odd"] = {"kind": "every_other", "start": 1, "domain": "math"}
        return {**found, "criteria_path": str(mine)}

    first, second = config(), config()
    configs.complete(first)
    configs.complete(second)
    again = dict(first)
    configs.complete(again)
    assert first == second == again
    assert order(first["criteria"]["odd"], plain(4)) == [1, 3, 0]


def test_a_file_may_be_named_from_the_working_directory_or_through_a_link(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)
    registry.load(mine.name)
    registry.load(f"../{mine.parent.name}/{mine.name}")
    link = mine.with_name("link")
    link.symlink_to(mine)
    registry.load(str(link))
    assert registry.is_users("every_other")


def test_two_files_of_one_name_are_two_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        text = f"@criterion('{name}', family='ranking')\ndef choose(study):\n    return Order(study.candidates)\n"
        registry.load(written(tmp_path / name, text))
    assert order(entry("one"), plain(3)) == order(entry("two"), plain(3)) == [0, 1]
    assert registry.is_users("one") and registry.is_users("two")


def test_a_function_from_elsewhere_is_the_users_too(tmp_path: Path) -> None:
    text = "from pruning_regimes.criteria.by_structure import last\ncriterion('l', 'structure', sampled=False)(last)\n"
    with pytest.raises(ConfigError, match="'l': its function does not take .*: missing a required argument"):
        registry.load(written(tmp_path, text))
    text = text.replace("'structure'", "'structure', {'keep_last': {'type': 'boolean', 'default': True}}")
    registry.load(written(tmp_path, text))
    assert registry.is_users("l") and not registry.is_users("last")
    assert order(entry("l"), plain(3), 2) == [1, 0]


MISTAKES = [
    ({"start": -1, "domain": "math"}, r"^criteria\.it\.start: -1 is out of range; it must be at least 0\.$"),
    ({"start": "1", "domain": "math"}, r'^criteria\.it\.start: expected a whole number, found "1"\.$'),
    ({"strat": 1, "domain": "math"}, r"^criteria\.it\.strat: unknown key in the config; did you mean 'start'\?$"),
    ({"start": 1}, r"^criteria\.it: the key 'domain' is missing; it is: A domain\.$"),
    ({"domain": "maths"}, r"^criteria\.it\.domain: 'maths' is none of the domains; did you mean 'math'\?$"),
]


@pytest.mark.parametrize(("parameters", "sentence"), MISTAKES)
def test_its_parameters_are_checked_by_their_schemas(mine: Path, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        completed({"it": {"kind": "every_other", **parameters}}, criteria_path=str(mine))


def test_schemas_of_several_types_and_limits_get_sentences_too(tmp_path: Path) -> None:
    text = (
        "@criterion('it', family='ranking', parameters={'share': {'type': ['number', 'null'], 'maximum': 1, "
        "'default': None}, 'mode': {'type': 'string', 'pattern': '^[ab]$', 'default': 'a'}})\n"
        "def it(study, share, mode):\n    return Order(study.candidates)\n"
    )
    path = written(tmp_path, text)
    assert completed({"it": {}}, criteria_path=path)["it"] == {"kind": "it", "share": None, "mode": "a"}
    for entry_, sentence in (
        ({"share": "x"}, r'^criteria\.it\.share: expected a number or null, found "x"\.$'),
        ({"share": 2}, r"^criteria\.it\.share: 2 is out of range; it must be at most 1\.$"),
        ({"mode": 2}, r"^criteria\.it\.mode: expected text, found 2\.$"),
        ({"mode": "c"}, r"^criteria\.it\.mode: 'c' does not match '\^\[ab\]\$'\.$"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            completed({"it": entry_}, criteria_path=path)


FILES = [
    ("1 / 0\n", r"' fails on line 2 with ZeroDivisionError: division by zero\.$"),
    ("def it(:\n", r"' fails with SyntaxError: .*line 2\)\.$"),
    ("import no_such_module\n", r"' fails on line 2 with ModuleNotFoundError: No module named 'no_such_module'\.$"),
    ("raise ValueError('one\\ntwo')\n", r"' fails on line 2 with ValueError: one two\.$"),
    ("", r"' registers no criterion; decorate a function with @criterion\(\.\.\.\)\.$"),
    ("@criterion('last', family='ranking')\ndef it(study): ...\n", "' is refused: Criterion 'last' is there already"),
    ("@criterion('mixed', family='ranking')\ndef it(study): ...\n", "' is refused: Criterion 'mixed' is there already"),
]


@pytest.mark.parametrize(("text", "sentence"), FILES)
def test_a_file_that_cannot_be_used_is_named_and_leaves_nothing(tmp_path: Path, text: str, sentence: str) -> None:
    good = "\n@criterion('good', family='ranking')\ndef good(study):\n    return Order(study.candidates)\n"
    path, before = written(tmp_path, text), registry.kinds()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"^criteria_path: '.*criteria_of_a_user\.py" + sentence) as caught:
            completed({"last": {}}, criteria_path=path)
        assert "\n" not in str(caught.value)
        assert registry.kinds() == before
    # Once it is mended it loads, though it broke off half-way before.
    other = tmp_path / "mended.py"
    other.write_text(HEADER + good + text)
    if text:
        with pytest.raises(ConfigError):
            registry.load(str(other))
        assert registry.kinds() == before
    other.write_text(HEADER + good + "# now without the fault\n")
    registry.load(str(other))
    assert registry.kinds() == [*before, "good"]


def test_a_file_that_is_not_there_is_named_with_its_nearest_neighbour(mine: Path) -> None:
    for path in (mine.with_name("my-criterias.py"), mine.parent):
        with pytest.raises(ConfigError, match=rf"^criteria_path: '{path}' is no file; "):
            completed({"last": {}}, criteria_path=str(path))
    with pytest.raises(ConfigError, match=r"did you mean '.*my-criteria\.py'\?$"):
        completed({"last": {}}, criteria_path=str(mine.with_name("my-criterias.py")))
    with pytest.raises(ConfigError, match="^criteria_path: '~nosuchuser/x.py' names a user that"):
        completed({"last": {}}, criteria_path="~nosuchuser/x.py")


def ordered(study: Study) -> Order:
    """All candidates as they come."""
    return Order(study.candidates)


DECLARED: list[tuple[dict[str, Any], str]] = [
    ({"family": "rankin"}, r"^Criterion 'it': there is no family 'rankin'; did you mean 'ranking'\?$"),
    ({"needs": "window"}, r"^Criterion 'it': there is no table 'window' to need; did you mean 'windows'\?$"),
    ({"parameters": {"kind": {"type": "string"}}}, r"^Criterion 'it': parameter 'kind' has the name of the key"),
    ({"parameters": {"a": {"type": "strng"}}}, r"^Criterion 'it': parameter 'a' has no valid JSON schema: 'strng'"),
    (
        {"parameters": {"a": {"type": "string", "names": "domain"}}},
        r"^Criterion 'it': parameter 'a' cannot be keys of 'domain'; did you mean 'domains'\?$",
    ),
    ({"parameters": {"a": {"type": "number", "names": "domains"}}}, "its type has to be string, array or object"),
    ({"parameters": {"a": {"type": "string", "names": "criteria"}}}, "'of', and no other parameter, names a criterion"),
    ({"parameters": {"of": {"type": "number"}}}, "'of', and no other parameter, names a criterion"),
    (
        {"parameters": {"of": {"type": "string", "names": "criteria"}}, "needs": "greedy"},
        "it needs what the criterion that it wraps needs; leave 'greedy' out",
    ),
    (
        {"parameters": {"a": {"type": "number", "default": "x"}}},
        "'a' has a default that its schema does not allow: 'x'",
    ),
    ({"parameters": {"a": {"default": 1}}}, "its function does not take a study and its parameters: got an unexpected"),
]


@pytest.mark.parametrize(("declared", "sentence"), DECLARED)
def test_a_declaration_that_cannot_be_is_refused(declared: dict[str, Any], sentence: str) -> None:
    before = registry.kinds()
    with pytest.raises(ConfigError, match=sentence):
        criterion("it", **{"family": "ranking", **declared})(ordered)
    assert registry.kinds() == before


@pytest.mark.parametrize(("needs", "sampled"), [(None, True), ("leave_one_out", True), ("greedy", False)])
def test_no_bootstrap_is_asked_of_tables_that_allow_none(needs: str | None, sampled: bool) -> None:
    criterion("it", family="ranking", needs=needs)(ordered)
    assert registry.get("it").sampled == sampled


CHOICES: list[tuple[str, Callable[[Study], Any], str]] = [
    ("ranking", lambda study: [2, 1], r"returned \[2, 1\]; expected an Order or a Structure"),
    ("ranking", lambda study: [], r"returned \[\]; expected"),
    ("ranking", lambda study: Structure(lambda n: [1, 2][:n]), "returned a Structure; its family needs an Order"),
    ("ranking", lambda study: Order([0, 1, 2, 3]), r"ordered the layers \[0, 1, 2, 3\]; .* \[1, 2, 3\] once"),
    ("structure", lambda study: Order([3, 1]), r"ordered the layers \[3, 1\]; .* \[1, 2, 3\] once"),
    ("ranking", lambda study: Order([1, 2, 3, 3]), r"ordered the layers \[1, 2, 3, 3\]"),
    ("ranking", lambda study: Order([1, 2, 3], [0.5] * 3), "gave 3 scores; the model has 4 layers"),
    ("structure", lambda study: Structure(lambda n: [0, 1]), r"chose \[0, 1\] to remove 2 of the layers \[1, 2, 3\]"),
    ("structure", lambda study: Structure(lambda n: [1]), r"chose \[1\] to remove 2 .* name 2 of them, each once"),
    ("structure", lambda study: Structure(lambda n: [1, 1]), r"chose \[1, 1\] to remove 2"),
    ("structure", lambda study: Structure(lambda n: [1, 4]), r"chose \[1, 4\] to remove 2"),
]


@pytest.mark.parametrize(("family", "choose", "sentence"), CHOICES)
def test_a_choice_of_wrong_layers_is_refused(family: str, choose: Callable[[Study], Any], sentence: str) -> None:
    criterion("it", family=family)(choose)
    with pytest.raises(ConfigError, match=f"^Criterion of kind 'it' {sentence}") as caught:
        layer_list(entry("it"), plain(4, protected=[0]), [2])
    assert "\n" not in str(caught.value)


def test_what_numpy_gives_is_taken_as_well() -> None:
    criterion("it", family="ranking")(lambda study: by_score(study.similarity("math"), study.candidates))
    criterion("two", family="control")(lambda study: [ordered(study), ordered(study)])
    table = layer_list(entry("it"), plain(4), [2])
    assert table.filter("removed")["layer"].to_list() == [2, 3]
    assert layer_list(entry("two"), plain(4), [2])["replicate"].unique().to_list() == [0, 1]
    assert order(entry("spaced", of={"kind": "two"}), plain(4)) == [0, 2, 1]


@pytest.mark.parametrize("kind", ["mixed", "interlace", "sleb", "taylor", "every_other"])
def test_a_job_reads_the_tables_and_loads_the_file(mine: Path, tmp_path: Path, kind: str) -> None:
    registry.load(str(mine))
    chosen = entry(kind, **({"domain": "math"} if kind == "every_other" else {}))
    of = random_study(3, 8, protected=[0, 7], steps=4)
    decoder = {
        "model": "m", "model_id": "i", "revision": "r", "model_class": "M", "decoder_path": "p", "layer_classes": [],
        "n_layers": 8, "hidden_size": 1, "protected": [0], "reasons": ["because"],
    }  # fmt: skip
    stored: dict[str, Any] = {"decoder": str(tmp_path / "decoder.parquet"), "protected": [-1], "seed": of.seed}
    tables.write([decoder], "decoder", stored["decoder"], {})
    stored["domains"] = of.domains
    for name, attribute in (("similarity", "layers"), ("blocks", "blocks"), ("windows", "windows")):
        stored[name] = [str(tmp_path / f"{domain}.{name}.parquet") for domain in of.domains]
        for path, samples in zip(stored[name], of.samples.values(), strict=True):
            tables.write(getattr(samples, attribute), name, path, {})
    needs = registry.get(kind if kind != "mixed" else "domain").needs
    if needs != "windows":
        stored["windows"] = []
    for name, need, table in (("losses", "greedy", of.losses.table), ("importance", "importance", of.importance)):
        stored[name] = str(tmp_path / f"{name}.parquet") if needs == need else None
        if needs == need:
            tables.write(table, name, stored[name], {})
    output, main = tmp_path / "layers.parquet", runpy.run_path(str(RANKING))["main"]
    main("c", chosen, [2, 0.5], str(mine) if registry.is_users(chosen["kind"]) else None, stored, str(output))
    found = tables.read(output, "layers")
    assert found.equals(layer_list(chosen, of, [2, 0.5]))
    assert found.filter(pl.col("budget") == "0.5", "removed").height == 4
    assert tables.provenance(output)["protected"] == [0, 7]
