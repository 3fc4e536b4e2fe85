"""Models from a hub: commits, the cache, and one clear sentence for each way in which a model cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.models import hub as hub_module
from tests.helpers import ROOT
from tests.helpers.hub_server import COMMIT, Hub, serving

LOOK = "import sys; from pruning_regimes.models import hub; print(hub.directory(sys.argv[1], sys.argv[2]))"
WEIGHTS = "import sys; from pruning_regimes.models import hub; print(hub.with_weights(*sys.argv[1:3], sys.argv[3:]))"
DEMO = ROOT / "workflow" / "resources" / "demo-llava"
NOWHERE = "http://127.0.0.1:9"  # the port that discards: nothing listens there


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with one model, whose weights are in two files."""
    directory = shutil.copytree(DEMO, tmp_path / "served")
    weights = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    places = {}
    for number, wanted in enumerate(("model.language_model.layers", ""), start=1):
        names = [name for name in weights if name not in places and name.startswith(wanted)]
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: weights[name] for name in names}, directory / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    with serving(directory) as served:
        yield served


def run(code: str, *arguments: str, **environment: str) -> tuple[str, str]:
    """Output and error of a fresh process, since the hub's address is read when its library is."""
    handled = (
        "from pruning_regimes.jobs.errors import ModelError\ntry:\n    "
        + code.replace("; ", "\n    ")
        + "\nexcept ModelError as error:\n    sys.exit(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", handled, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip(), done.stderr.strip()


def test_a_branch_becomes_a_commit_and_only_what_is_needed_is_downloaded(hub: Hub, tmp_path: Path) -> None:
    found, error = run(LOOK, "owner/model", "main", **hub.environment(tmp_path / "home"))
    assert not error
    assert Path(found).name == COMMIT
    assert "config.json" in hub.downloaded and not any(name.startswith("model-") for name in hub.downloaded)
    wanted = "model-00002-of-00002.safetensors"
    again, _ = run(WEIGHTS, "owner/model", COMMIT, wanted, **hub.environment(tmp_path / "home"))
    assert again == found
    assert [name for name in hub.downloaded if name.startswith("model-")] == [wanted]


def test_the_cache_serves_without_a_network_and_offline(hub: Hub, tmp_path: Path) -> None:
    environment = hub.environment(tmp_path / "home")
    found, _ = run(LOOK, "owner/model", "main", **environment)
    for change in ({"HF_ENDPOINT": NOWHERE}, {"HF_HUB_OFFLINE": "1"}):
        assert run(LOOK, "owner/model", "main", **{**environment, **change})[0] == found


@pytest.mark.parametrize(
    ("model", "revision", "change", "sentence"),
    [
        ("owner/missing", "main", {}, "Model 'owner/missing' is neither a directory here nor a model on the hub"),
        ("owner/gated", "main", {}, "accept its terms at https://huggingface.co/owner/gated and set HF_TOKEN"),
        ("owner/model", "v9", {}, "Model 'owner/model' has no revision 'v9' on the hub; expected a commit, branch or"),
        ("owner/model", "main", {"HF_ENDPOINT": NOWHERE}, "the hub cannot be reached; check the network"),
        ("owner/model", "main", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids to download it; run 'hf download own"),
        ("a/b/c", "main", {}, "Model 'a/b/c' is neither a directory here nor a valid hub id (owner/name)."),
    ],
)
def test_a_model_that_cannot_be_had_gets_one_sentence(
    hub: Hub, tmp_path: Path, model: str, revision: str, change: dict[str, str], sentence: str
) -> None:
    _, error = run(LOOK, model, revision, **{**hub.environment(tmp_path / "home"), **change})
    assert sentence in error.splitlines()[-1]
    assert "Traceback" not in error


def test_a_config_is_read_from_the_hub_at_once_or_not_at_all(hub: Hub, tmp_path: Path) -> None:
    look = "print((hub.stated_config(*sys.argv[1:3]) or {}).get('model_type'))"
    code = f"import sys; from pruning_regimes.models import hub; {look}"
    environment = hub.environment(tmp_path / "home")
    expected = json.loads((hub.directory / "config.json").read_text())["model_type"]
    assert run(code, "owner/model", "main", **environment)[0] == expected
    assert run(code, "owner/model", "main", **{**environment, "HF_ENDPOINT": NOWHERE})[0] == "None"
    run(LOOK, "owner/model", "main", **environment)
    assert run(code, "owner/model", "main", **{**environment, "HF_ENDPOINT": NOWHERE})[0] == expected


def test_pickled_weights_are_refused(hub: Hub, tmp_path: Path) -> None:
    for file in hub.directory.glob("model*"):
        file.unlink()
    (hub.directory / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ModelError, match=r"has only pickled weights \(pytorch_model\.bin\), which can run code"):
        hub_module.weight_places(str(hub.directory), "main")
    code = "import sys; from pruning_regimes.models import hub; hub.weight_places(*sys.argv[1:3])"
    _, error = run(code, "owner/model", "main", **hub.environment(tmp_path / "home"))
    assert "Model 'owner/model' has only pickled weights (pytorch_model.bin)" in error
    assert "pytorch_model.bin" not in hub.downloaded


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ({"a": "../model.safetensors"}, "is no file of its own directory"),
        ({"a": "model-00009.safetensors"}, "lacks 'model-00009.safetensors', a file of weights that its model.safe"),
        (None, "cannot be read as an index of weights"),
    ],
)
def test_an_index_that_is_wrong_is_named(hub: Hub, places: dict[str, str] | None, sentence: str) -> None:
    (hub.directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places} if places else []))
    path = str(hub.directory)
    with pytest.raises(ModelError, match=sentence):
        hub_module.with_weights(path, "main", set(hub_module.weight_places(path, "main").values()))
