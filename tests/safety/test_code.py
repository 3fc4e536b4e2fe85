"""Nothing that a model or a data set brings is run or unpickled, and no code of ours would do so; checksums."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets as library
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import EpsImagePlugin, Image

from pruning_regimes import benchmarks
from pruning_regimes.calibration import contamination
from pruning_regimes.checkpoints import writing
from pruning_regimes.demo import datasets
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.measurement import similarity
from pruning_regimes.models import checksums, decoder, identity, loading
from tests.conftest import entry
from tests.helpers import ROOT
from tests.safety.test_names import DEMO, one_sentence


class Canary:
    """Creates a file if it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable, tuple[str, str]]:
        return open, (str(self.file), "w")


def code(file: Path) -> str:
    """Python code that creates a file if it runs."""
    return f"from pathlib import Path\nPath({str(file)!r}).touch()\n"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that a canary creates."""
    return tmp_path / "canary"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's directory without checksums."""
    return shutil.copytree(DEMO, tmp_path / "model", ignore=shutil.ignore_patterns(checksums.SUMS))


def study(directory: Path, target: Path) -> None:
    """What a study does with a model: inspect it, measure similarity, write it without a layer."""
    source = loading.Source(entry(directory))
    decoder.inspect(source.skeleton())
    similarity.measure(loading.load(entry(directory)), datasets.calibration_table(["chart"], 2, 0), 2)
    target.mkdir()
    writing.write(source, [1], target)


# --- pickles


def test_a_canary_sings(canary: Path) -> None:
    pickle.loads(pickle.dumps(Canary(canary))).close()
    assert canary.exists()
    canary.unlink()
    exec(code(canary))
    assert canary.exists()


PICKLES = ("pytorch_model.bin", "model.pt", "training_args.bin", "optimizer.pt", "tokenizer.pkl", "vocab.pkl")


def test_pickles_beside_a_models_weights_are_never_loaded(model: Path, tmp_path: Path, canary: Path) -> None:
    for name in PICKLES:
        (model / name).write_bytes(pickle.dumps(Canary(canary)))
    study(model, tmp_path / "copy")
    assert not canary.exists() and not {path.name for path in (tmp_path / "copy").iterdir()} & {*PICKLES}


def test_an_adapter_that_names_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    with pytest.raises(ModelError, match=r"has an adapter \(adapter_config\.json\); merge it into its base model"):
        study(model, tmp_path / "copy")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_pickle_in_the_place_of_weights_is_refused(model: Path, tmp_path: Path, canary: Path, name: str) -> None:
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(ModelError, match=r"has only pickled weights \(pytorch_model\.bin\)|is damaged") as caught:
        study(model, tmp_path / "copy")
    one_sentence(caught.value)
    with pytest.raises(ModelError, match="has only pickled weights|is damaged"):
        writing.write(loading.Source(entry(model)), [1], tmp_path)
    assert not canary.exists()


def test_pickles_and_code_in_a_saved_data_set_are_never_loaded(tmp_path: Path, canary: Path) -> None:
    saved = tmp_path / "saved"
    library.Dataset.from_list([{"question": "?", "answers": "A"}]).save_to_disk(saved)
    for name in ("data.pkl", "cache-1.arrow", "indices.arrow", "dataset.pkl"):
        (saved / name).write_bytes(pickle.dumps(Canary(canary)))
    (saved / "saved.py").write_text(code(canary))
    assert len(benchmarks.load("b", {"source": "custom", "path": str(saved), "answer_type": "exact"}, 0)) == 1
    state = json.loads((saved / "state.json").read_text())
    state["_data_files"] = [{"filename": "data.pkl"}]
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match="cannot be read as a saved data set"):
        benchmarks.load("b", {"source": "custom", "path": str(saved), "answer_type": "exact"}, 0)
    assert not canary.exists()


def test_a_parquet_column_of_a_pickled_type_is_only_data(tmp_path: Path, canary: Path) -> None:
    pickled = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Canary(canary)),
    }
    fields = [pa.field("question", pa.string()), pa.field("answers", pa.string(), metadata=pickled)]
    pq.write_table(pa.table([["?"], ["A"]], schema=pa.schema(fields)), tmp_path / "rows.parquet")
    about = {"source": "custom", "path": str(tmp_path / "rows.parquet"), "answer_type": "exact"}
    assert benchmarks.load("b", about, 0)["answers"].to_list() == [["A"]]
    assert not canary.exists()


@pytest.mark.parametrize("name", ["rows.pkl", "rows.py", "rows.npy", "rows.bin"])
def test_files_of_other_formats_are_not_opened(tmp_path: Path, canary: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(DataError, match=r"expected one of \.parquet, \.jsonl, \.json, \.csv"):
        benchmarks.load("b", {"source": "custom", "path": str(tmp_path / name), "answer_type": "exact"}, 0)
    assert not canary.exists()


# --- code that a model brings


NAMING = {
    "config.json": {"AutoConfig": "own.C", "AutoModelForImageTextToText": "own.M"},
    "tokenizer_config.json": {"AutoTokenizer": ["own.T", None]},
    "processor_config.json": {"AutoProcessor": "own.P"},
    "preprocessor_config.json": {"AutoImageProcessor": "own.I"},
}


@pytest.mark.parametrize("file", NAMING)
@pytest.mark.parametrize("known", [True, False])
def test_a_models_code_does_not_run_unasked(model: Path, tmp_path: Path, canary: Path, file: str, known: bool) -> None:
    for path in ("own.py", "setup.py", "custom_generate/generate.py", "__init__.py"):
        (model / path).parent.mkdir(exist_ok=True)
        (model / path).write_text(code(canary))
    stated = json.loads((model / file).read_text()) if (model / file).is_file() else {}
    (model / file).write_text(json.dumps(stated | {"auto_map": NAMING[file]}))
    if known:  # transformers has the model itself, and uses that
        study(model, tmp_path / "copy")
    else:
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"model_type": "own"}))
        with pytest.raises(ModelError, match=r"runs Python code of its own.*trust_remote_code: true") as caught:
            study(model, tmp_path / "copy")
        one_sentence(caught.value)
    assert not canary.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__init__.__globals__ }}",
        "{{ raise_exception.__globals__['__builtins__']['open']('%s', 'w') }}",
        "{{ cycler.__init__.__globals__.os.system('touch %s') }}",
        "{%% set _ = messages.append(1) %%}{%% include '%s' %%}",
    ],
)
def test_a_chat_template_reaches_nothing(model: Path, canary: Path, template: str) -> None:
    (model / "chat_template.jinja").write_text(template.replace("%s", str(canary)).replace("%%", "%"))
    with pytest.raises(ModelError, match="its chat template fails with") as caught:
        prompts.prompt(loading.load(entry(model)), "q", 1)
    one_sentence(caught.value)
    assert not canary.exists()


def test_no_program_is_started_for_an_image(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n: > '{canary}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # looked for anew
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "EPS")
    with pytest.raises(DataError, match=r"cannot be (opened|used)"):
        prompts.decode([buffer.getvalue()])
    table = pl.DataFrame({"sample_id": ["a"], "question": ["?"], "images": [[buffer.getvalue()]]})
    assert len(contamination.check({"d": table}, {"b": table})) == 1  # by its bytes
    assert not canary.exists()
    with contextlib.suppress(OSError):
        Image.open(buffer).load()
    assert canary.exists()


# --- what our own code may call

CALLS = re.compile(
    r"(builtins\.)?(eval|exec|compile|__import__)|os\.(system|popen|exec\w*|spawn\w*)|(c?[pP]ickle|dill|marshal|shelve"
    r"|joblib|cloudpickle)\.\w+|\w+\.read_pickle|(yaml|ruamel)\.(load|load_all|unsafe_load\w*|full_load\w*)"
    r"|subprocess\.(getoutput|getstatusoutput)|shell|\w+\.extractall|shutil\.unpack_archive|tempfile\.mktemp"
)


def faults(source: str) -> Iterator[str]:
    """The calls of a Python text that would run text as code, unpickle, or unpack archives."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (
                name for name in names if re.fullmatch(r"(c?[pP]ickle|dill|marshal|shelve|joblib)(\..*)?", name)
            )
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        stated = {word.arg: ast.unparse(word.value) for word in node.keywords}
        safe = "SafeLoader" in ast.unparse(node)
        if (CALLS.fullmatch(name) and not safe) or stated.get("shell", "False") != "False":
            yield name
        if name == "torch.load" and stated.get("weights_only") != "True":
            yield name
        if name.endswith(".load") and stated.get("allow_pickle", "False") != "False":
            yield name
        if stated.get("weights_only", "True") != "True" or stated.get("use_safetensors", "True") != "True":
            yield name
        if stated.get("trust_remote_code", "False") not in ("False", "self.trusted", "source.trusted"):
            yield name


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)", "exec(x)", "import os; os.system(x)", "os.popen(x)", "pickle.loads(x)", "import pickle",
        "from pickle import load", "torch.load(x)", "torch.load(x, weights_only=False)", "yaml.load(x)",
        "yaml.load(x, Loader=yaml.Loader)", "yaml.unsafe_load(x)", "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=flag)", "np.load(x, allow_pickle=True)", "pd.read_pickle(x)", "tar.extractall()",
        "A.from_pretrained(x, trust_remote_code=True)", "A.from_pretrained(x, use_safetensors=False)", "shell('ls')",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert list(faults(text))


def test_our_code_runs_no_text_and_unpickles_nothing() -> None:
    files = [*(ROOT / "workflow" / "pruning_regimes").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    assert len(files) > 100
    harmless = ["yaml.safe_load(x)", "yaml.load(x, Loader=yaml.CSafeLoader)", "torch.load(x, weights_only=True)"]
    assert not [fault for text in harmless for fault in faults(text)]
    assert {file.name: found for file in files if (found := list(faults(file.read_text())))} == {}


# `shell:` and `run:` of a rule; calls of shell().
SHELL = re.compile(
    r"^\s*(shell|run|wrapper|notebook|cwl)\s*:|\bshell\s*\(|\bos\.system\b|\beval\s*\(|\bexec\s*\(", re.M
)


@pytest.mark.parametrize("text", ['    shell:\n        "ls {wildcards.x}"', "    run:\n", "x = shell('ls')", "eval(x)"])
def test_the_search_finds_shells_in_rules(text: str) -> None:
    assert SHELL.search(text)


def test_no_rule_puts_a_config_value_into_a_shell() -> None:
    files = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    assert len(files) > 6
    for file in files:
        text = file.read_text()
        assert not SHELL.search(text), file.name
        rules = len(re.findall(r"^\s*(rule|checkpoint)\b.*:", text, re.M))
        assert text.count("    script:") == rules - (file.name == "Snakefile"), file.name


# --- checksums


def test_the_demo_models_are_what_was_shipped_and_keep_their_identity(tmp_path: Path) -> None:
    for directory in (DEMO, DEMO.with_name("demo-idefics3")):
        copy = shutil.copytree(directory, tmp_path / directory.name)
        listed = (copy / checksums.SUMS).read_text()
        assert "model.safetensors" in listed and "README" not in listed
        before = identity.identity(str(copy), "main")
        (copy / checksums.SUMS).unlink()
        assert identity.identity(str(copy), "main") == before
        checksums.write(copy)
        assert (copy / checksums.SUMS).read_text() == listed


@pytest.mark.parametrize("name", ["config.json", "chat_template.jinja", "tokenizer.json"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_changed_file_is_noticed_before_it_is_read(tmp_path: Path, name: str, gone: bool) -> None:
    directory = shutil.copytree(DEMO, tmp_path / "model")
    (directory / name).unlink() if gone else (directory / name).write_text("{")
    sentence = rf"lacks '{name}', which its SHA256SUMS" if gone else rf"'{name}' is not the file that its SHA256SUMS"
    with pytest.raises(ModelError, match=sentence) as caught:
        loading.Source(entry(directory))
    one_sentence(caught.value)


def test_changed_weights_are_noticed_by_all_that_read_them(tmp_path: Path) -> None:
    directory = shutil.copytree(DEMO, tmp_path / "model")
    weights = directory / "model.safetensors"
    held = bytearray(weights.read_bytes())
    held[-1] ^= 1  # one bit of one weight, which loads like any other
    weights.write_bytes(held)
    source = loading.Source(entry(directory))
    for act in (lambda: loading.load(entry(directory)).model, lambda: writing.write(source, [1], tmp_path)):
        with pytest.raises(ModelError, match=r"'model\.safetensors' is not the file that its SHA256SUMS lists"):
            act()
    (directory / checksums.SUMS).unlink()
    assert loading.load(entry(directory)).model is not None


def test_an_export_has_no_stale_checksums(tmp_path: Path) -> None:
    directory = shutil.copytree(DEMO, tmp_path / "model")
    study(directory, tmp_path / "copy")
    assert (directory / checksums.SUMS).is_file() and not (tmp_path / "copy" / checksums.SUMS).exists()


ZEROS = "0" * 64


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{ZEROS}  ../secret\n", r"names '\.\./secret', which is no file of its own directory"),
        (f"{ZEROS} */etc/passwd\n", r"names '/etc/passwd', which is no file"),
        (f"{ZEROS}  a/../../secret", r"which is no file of its own directory"),
        (f"{ZEROS}  {'a' * 300}\n", r"lacks 'a{80}\.\.\.'"),
        (f"{ZEROS}  a\x00b\n", r"lacks 'a\\x00b'"),
        (f"{ZEROS}  .\n", r"lacks '\.'"),
        ("# sums\n", r"line 1 of its SHA256SUMS is none that sha256sum writes"),
        ("", r"line 1 of its SHA256SUMS is none"),
        ("\x00\xff", r"line 1 of its SHA256SUMS is none"),
    ],
)
def test_a_list_of_checksums_that_is_none_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / checksums.SUMS).write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=sentence) as caught:
        checksums.check("m", tmp_path / "model", weights=False)
    one_sentence(caught.value)
