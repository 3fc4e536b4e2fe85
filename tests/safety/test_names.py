"""Names in a config, a data set or a model never lead out of their folder, and are refused in one sentence."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import datasets as library
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pruning_regimes import benchmarks, calibration
from pruning_regimes.benchmarks import sources
from pruning_regimes.checkpoints import writing
from pruning_regimes.config import study as configs
from pruning_regimes.jobs.errors import ConfigError, DataError, ModelError, StudyError
from pruning_regimes.models import budgets, hub, loading
from tests.conftest import entry
from tests.helpers import ROOT
from tests.helpers.hub_server import COMMIT, serving
from tests.models.test_hub import LOOK, run

DEMO = ROOT / "workflow" / "resources" / "demo-llava"
HOSTILE = (
    "../x", "a/../b", "..", ".", ".hidden", "/etc/passwd", "a\x00", "a\n", "a\r", "a\u2028", "\u202ea", "~", "~root",
    "-rf", "a\\b", "․․∕x", "ａ", "а", "K", "a" * 64, "a" * 65, "a" * 300, "é" * 130, "{model}", "$(id)", "`id`", "a;id",
    "*", "a b", "con", "a.b", "\ud800", "", "..%2f", "\x1b[31m", "1e5", "A",
)  # fmt: skip
PIECES = ("..", "/", "\\", ".", "a", "Z", "0", "-", "_", "\x00", "\n", "․", "∕", "~", "%2e", "{", "}", "$", "é" * 60)
NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,70}\n?", fullmatch=True),
    st.text(max_size=20),
)
fuzzed = settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])


def one_sentence(error: StudyError) -> None:
    """Check that an error is short, and that its names can neither break its line nor steer a terminal."""
    assert str(error).isprintable() and 10 < len(str(error)) < 1000, str(error)[:2000]


def study(tmp_path: Path) -> dict[str, Any]:
    """A config, with files of the user's own so that keys are free."""
    (tmp_path / "rows.jsonl").write_text("{}")
    own = {"source": "custom", "path": str(tmp_path / "rows.jsonl")}
    return {
        "models": {"m": {"path": str(DEMO)}},
        "domains": {"d": {**own, "schema": "qa"}},
        "criteria": {"c": {"kind": "last"}},
        "budgets": [2],
        "benchmarks": {"b": {**own, "answer_type": "exact", "group": "g"}},
    }


# --- names in the config


@fuzzed
@given(section=st.sampled_from(configs.NAMED), name=NAMES)
def test_no_name_of_the_config_leaves_the_results(tmp_path: Path, section: str, name: str) -> None:
    config = study(tmp_path)
    config[section][name] = copy.deepcopy(next(iter(config[section].values())))
    try:
        configs.complete(config)
    except ConfigError as error:
        one_sentence(error)
        return
    assert name in config[section] and name.isascii() and name.isprintable() and 1 <= len(name) <= 64
    folder = tmp_path / "results"
    for file in (folder / name, folder / f"{name}.parquet", folder / name / f".{name}.answered"):
        assert Path(os.path.normpath(file)) == file and file.is_relative_to(folder)
    assert not name.startswith((".", "-"))


@pytest.mark.parametrize(
    ("section", "name", "sentence"),
    [
        ("models", "a\n", r"^models: the key 'a\\n' may hold only letters"),
        ("domains", "a" * 65, r"^domains: the name 'a{65}' has 65 characters, but 64 are the most\.$"),
        ("criteria", "a" * 300, r"^criteria: the name 'a{80}\.\.\.' has 300 characters"),
        ("benchmarks", "B", r"^benchmarks: 'b' and 'B' differ only in upper and lower case"),
    ],
)
def test_a_name_that_makes_no_good_file_name_is_refused(section: str, name: str, sentence: str, tmp_path: Path) -> None:
    config = study(tmp_path)
    config[section][name] = copy.deepcopy(next(iter(config[section].values())))
    with pytest.raises(ConfigError, match=sentence):
        configs.complete(config)


@fuzzed
@given(budget=st.one_of(st.floats(), st.integers(-5, 10**300), st.floats(0, 1), st.floats(0, 1e-300), NAMES))
def test_a_budget_is_a_plain_number_in_file_names(tmp_path: Path, budget: Any) -> None:
    config = study(tmp_path)
    config["budgets"], config["models"]["m"]["path"] = [budget], "owner/of-unknown-depth"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hub, "stated_config", lambda *_: None)
            configs.complete(config)
    except ConfigError as error:
        one_sentence(error)
        return
    name = budgets.budget_name(budget)
    assert re.fullmatch(r"\d+(\.\d+)?", name) and len(name) <= 64 and name != "0"


def test_the_longest_names_fit_into_every_file_name_of_the_workflow() -> None:
    patterns = {
        found
        for file in (ROOT / "workflow" / "rules").glob("*.smk")
        for found in re.findall(r'"(<\w+>/[^"]*)"', file.read_text())
    }
    assert len(patterns) > 40
    longest = max(len(re.sub(r"\{+[^}]*\}+", "x" * 64, part)) for found in patterns for part in found.split("/"))
    # Temporary files have a dot before and a process id behind; cluster logs join the names of a job.
    assert longest > 64 and longest + len(".") + len(".4194304") <= 255
    assert 3 * 64 + 2 + len(".partial") + 1 <= 255


@fuzzed
@given(key=st.sampled_from(["model", "domain", "criteria_path"]), path=NAMES)
def test_a_path_that_no_file_system_has_gets_one_sentence(tmp_path: Path, key: str, path: str) -> None:
    config = study(tmp_path)
    if key == "criteria_path":
        config[key] = path
    else:
        next(iter(config[f"{key}s"].values()))["path"] = path
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hub, "_hub_config", lambda *_: None)
            configs.complete(config)
    except ConfigError as error:
        one_sentence(error)


def test_a_password_in_an_address_is_refused_and_not_shown(tmp_path: Path) -> None:
    config = study(tmp_path) | {"judge": {"url": "https://me:hunter2@host/v1", "model": "m"}}
    with pytest.raises(ConfigError, match=r"^judge\.url: an address with a password would be in logs") as caught:
        configs.complete(config)
    assert "hunter2" not in str(caught.value)


# --- names in data sets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an image, a secret beside it, and a link to that."""
    inside = tmp_path / "data" / "images"
    inside.mkdir(parents=True)
    (inside / "a").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "circle").symlink_to(inside / "circle")
    return inside


@fuzzed
@given(
    name=st.one_of(
        NAMES, st.sampled_from(["../../secret", "link", "circle", "a/../../../secret", "./a", "a/", "a/../a"])
    )
)
def test_no_name_of_an_image_leaves_its_folder(folder: Path, name: str) -> None:
    try:
        assert sources.image_file(folder, name) == b"inside"
    except DataError as error:
        one_sentence(error)


@pytest.mark.parametrize("name", ["../../secret", "{root}/secret", "link", "circle", "a\x00", "b" * 300])
def test_calibration_files_name_images_below_their_folder_only(folder: Path, name: str) -> None:
    turns = [{"from": "human", "value": "<image>\n?"}, {"from": "gpt", "value": "A"}]
    row = {"image": name.format(root=folder.parents[1]), "conversations": turns}
    (folder / "rows.json").write_text(json.dumps([row]))
    about = {"source": "custom", "schema": "llava", "path": str(folder / "rows.json"), "samples": 1}
    with pytest.raises(DataError, match="lies outside its folder|is no name of a file") as caught:
        calibration.load("d", about, 0)
    one_sentence(caught.value)


@pytest.mark.parametrize("split", [False, True])
def test_a_saved_data_set_has_its_files_in_its_directory(tmp_path: Path, split: bool) -> None:
    table = library.Dataset.from_list([{"question": "?", "answers": "A"}])
    table.save_to_disk(tmp_path / "other")
    made = library.DatasetDict({"train": table}) if split else table
    made.save_to_disk(tmp_path / "saved")
    about = {"source": "custom", "path": str(tmp_path / "saved"), "answer_type": "exact"}
    assert len(benchmarks.load("b", about, 0)) == 1
    if split:
        (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "../other"]}')
    else:
        file = tmp_path / "saved" / "state.json"
        state = json.loads(file.read_text())
        state["_data_files"][0]["filename"] = "../other/data-00000-of-00001.arrow"
        file.write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"'.*\.\./other.*' lies outside its folder"):
        benchmarks.load("b", about, 0)


@pytest.mark.parametrize("text", ["[]", "{}", '{"_data_files": [1]}', '{"_data_files": [{"filename": 1}]}', "{"])
def test_a_damaged_saved_data_set_gets_one_sentence(tmp_path: Path, text: str) -> None:
    library.Dataset.from_list([{"question": "?", "answers": "A"}]).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text(text)
    with pytest.raises(DataError, match="cannot be read as a saved data set|is no name of a file") as caught:
        sources.Saved(tmp_path / "saved", "train")
    one_sentence(caught.value)


# --- names in models


@fuzzed
@given(
    index=st.one_of(
        st.dictionaries(st.text(max_size=5), NAMES, min_size=1, max_size=3),
        st.dictionaries(st.text(max_size=5), NAMES.map(lambda name: f"{name}.safetensors"), min_size=1, max_size=3),
        st.recursive(st.none() | st.integers() | st.text(), lambda below: st.lists(below, min_size=1), max_leaves=3),
    )
)
def test_no_index_of_weights_names_a_file_elsewhere(tmp_path: Path, index: Any) -> None:
    (tmp_path / "out.safetensors").write_bytes(b"")
    directory = tmp_path / "model"
    directory.mkdir(exist_ok=True)
    (directory / hub.INDEX).write_text(json.dumps({"weight_map": index}))
    with pytest.raises(ModelError) as caught:
        places = hub.weight_places(str(directory), "main")
        hub.with_weights(str(directory), "main", set(places.values()))
        assert not places
        raise ModelError("An empty index names nothing.")
    one_sentence(caught.value)


@pytest.mark.parametrize("name", ["../out.safetensors", "/out.safetensors", "pickled.bin", "model.pt"])
def test_weights_elsewhere_or_pickled_are_refused_by_all_that_load_and_write(name: str, tmp_path: Path) -> None:
    directory = shutil.copytree(DEMO, tmp_path / "model", ignore=shutil.ignore_patterns("SHA256SUMS"))
    places = hub.weight_places(str(directory), "main")
    os.replace(directory / "model.safetensors", tmp_path / "out.safetensors")
    for file in ("pickled.bin", "model.pt"):
        (directory / file).write_bytes(b"\x80")
    (directory / hub.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(places, name)}))
    target = tmp_path / "copy"
    target.mkdir()
    for act in (
        lambda: loading.load(entry(directory)).model,
        lambda: writing.write(loading.Source(entry(directory)), [1], target),
    ):
        with pytest.raises(ModelError, match=r"is no file of its own directory|expected a file that ends in \.safet"):
            act()
    assert not list(target.glob("*.safetensors"))


def test_of_a_single_file_and_an_index_the_one_is_read_that_transformers_loads(tmp_path: Path) -> None:
    directory = shutil.copytree(DEMO, tmp_path / "model", ignore=shutil.ignore_patterns("SHA256SUMS"))
    places = hub.weight_places(str(directory), "main")
    (directory / hub.INDEX).write_text(json.dumps({"weight_map": {"other": "other.safetensors"}}))
    assert hub.weight_places(str(directory), "main") == places
    names, _ = zip(*loading.load(entry(directory)).model.named_parameters(), strict=True)
    assert len(names) == len(places)


def test_a_config_that_names_weights_is_refused(tmp_path: Path) -> None:
    directory = shutil.copytree(DEMO, tmp_path / "model", ignore=shutil.ignore_patterns("SHA256SUMS"))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"transformers_weights": "adapter_model.bin"}))
    with pytest.raises(ModelError, match=r"its config\.json names a file of weights \(transformers_weights\)"):
        loading.Source(entry(directory))


@pytest.mark.parametrize(
    "name", ["../../../../../evil.json", "a/../../../../../../evil.json", "../evil.json", "/evil.json"]
)
def test_a_hub_cannot_write_outside_the_copy_of_a_commit(name: str, tmp_path: Path) -> None:
    served = shutil.copytree(DEMO, tmp_path / "served")
    before = set(tmp_path.rglob("*"))
    with serving(served, also=[name]) as fake:
        found, error = run(LOOK, "owner/model", COMMIT, **fake.environment(tmp_path / "home"))
    written = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    if name.startswith("/"):
        assert "Model 'owner/model' cannot be downloaded: Invalid filename '/evil.json'" in error
        assert "Traceback" not in error and not any("evil" in path.name for path in written)
        return
    assert Path(found).name == COMMIT, error
    assert written and all(path.is_relative_to(tmp_path / "home" / "hub") for path in written)
    assert all(path.is_relative_to(found) for path in written if "evil" in path.name)
