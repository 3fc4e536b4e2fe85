"""The command `pruning-regimes`: what it prints, how it ends, and what it says of wrong input."""

from __future__ import annotations

import errno
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from pruning_regimes import cli, tables
from pruning_regimes.api import comparison, entries, exporting, inspection, measurement
from pruning_regimes.cli.options import as_options, parse
from tests.helpers import ROOT
from tests.helpers.own_files import DOMAINS, questions, scores

COMMAND = [sys.executable, "-c", "import sys; from pruning_regimes.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the repository's demo models, two files of questions and two of scores, and similarities."""
    place = tmp_path_factory.mktemp("place")
    (place / "workflow").symlink_to(ROOT / "workflow")
    for domain in DOMAINS:
        questions(place, domain, 4)
    scores(place, "a", 0.9)
    scores(place, "b", 0.5)
    with chdir(place), pytest.MonkeyPatch.context() as patched:
        patched.setattr(entries, "threads", lambda wanted: 1)  # tests run side by side, one per core
        for line in commands_of_the_readme()[:2]:
            assert cli.main(line) == 0
        yield place


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Run a command there; gives its output, and asserts how it ends."""
    monkeypatch.chdir(place)
    capsys.readouterr()

    def run(line: str, status: int = 0) -> str:
        try:
            ended = cli.main(shlex.split(line))
        except SystemExit as wrong_usage:
            ended = wrong_usage.code
        said = capsys.readouterr()
        assert ended == status, said.err
        return said.out if status == 0 else said.err

    return run


def commands_of_the_readme() -> list[list[str]]:
    section = (ROOT / "README.md").read_text().split("## Without a study\n")[1].split("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    pruning-regimes ")]
    return [shlex.split(line)[1:] for line in lines]


# help and usage


def test_help_is_quick_and_tells_of_every_command() -> None:
    code = "import sys; from pruning_regimes.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, modules = done.stdout.rsplit("\n", 2)[:2]
    assert not {"torch", "transformers", "polars", "numpy", "yaml"} & set(modules.split())
    for name in ("inspect", "similarity", "rank", "export", "compare"):
        assert f"  {name} " in said or f"  {name}\n" in said
    assert "Exit status: 0 if all is well" in said


@pytest.mark.parametrize("command", ["inspect", "similarity", "rank", "export", "compare"])
def test_every_option_has_help(command: str, run: Callable[..., str]) -> None:
    said = run(f"{command} --help")
    assert "--json" in said and "None" not in said


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("inspct x", "'inspct' is no command; did you mean 'inspect'?"),
        ("", "the following arguments are required: COMMAND"),
        ("similarity m --out o", "required: --domain"),
        ("similarity m --domain a.jsonl --domain x/a.csv --out o", "argument --domain: 'a' is there twice"),
        ("similarity m --domain 'my file.jsonl' --out o", "can be no name of a domain; write NAME=my file.jsonl"),
        ("similarity m --domain a.jsonl --out o --samples 0", "'0' is no number of at least 1"),
        ("similarity m --domain a.jsonl --out o --gpus -1", "'-1' is no number of at least 0"),
        ("rank d --criterion mixed --budget two", "'two' is neither a number of layers nor a fraction"),
        ("rank d --criterion mixed --budget 2 --protected a", "'a' are no numbers of layers; write them as 4,5"),
        ("export m", "expected --remove LAYERS --out DIRECTORY, or --criterion and --budget of a study"),
        ("export m --remove 4", "--remove needs --out"),
        ("compare a.csv b.csv --seed -1", "argument --seed: '-1' is no seed; write a whole number from 0 on"),
        ("export m --criterion mixed", "--criterion needs --budget"),
        ("export m --remove 4 --out o --budget 2", "argument --budget: not allowed with argument --remove"),
        ("export m --remove 4 --criterion c --budget 2", "argument --remove: not allowed with argument --criterion"),
        (
            "export m --criterion c --budget 2 --dtype float32",
            "argument --dtype: not allowed with argument --criterion",
        ),
        ("compare a", "required: B"),
        ("compare a b --scoring upstram", "invalid choice: 'upstram'"),
    ],
)
def test_wrong_usage_ends_with_2(line: str, sentence: str, run: Callable[..., str]) -> None:
    assert sentence in run(line, 2)


# what the commands print


@pytest.mark.usefixtures("in_process")
def test_the_commands_of_the_readme_run(run: Callable[..., str], place: Path) -> None:
    lines = commands_of_the_readme()
    assert [line[0] for line in lines] == ["inspect", "similarity", "rank", "export", "compare"]
    said = [run(shlex.join(line)) for line in lines]
    assert "model.language_model.layers, 12 layers" in said[0]
    assert "general (4), math (4)" in said[1] and said[1].count("\n") > 12
    assert said[2].splitlines()[0].split() == ["criterion", "replicate", "budget", "removed"]
    assert said[2].splitlines()[3].split() == ["uniform", "0", "2", "3", "9"]
    assert "pruned: 2,903,296 of 3,329,792 parameters; answers 4 samples" in said[3]
    assert "A: a.csv\nB: b.csv\nQuestions: 40" in said[4]
    assert (place / "pruned" / "model.safetensors").is_file()


def test_json_is_all_that_is_on_stdout(run: Callable[..., str]) -> None:
    model = "workflow/resources/demo-llava"
    found = json.loads(run(f"inspect {model} --json"))
    assert found["n_layers"] == len(found["layers"]) == 12 and found["layers"][0]["protected"] is None
    found = json.loads(run(f"similarity {model} --domain math.jsonl --out similarity --json"))
    assert {row["domain"] for row in found["profile"]} == {"math", "general"} and found["out"] == "similarity"
    found = json.loads(run("rank similarity --criterion last --budget 3 --json"))
    row = {"criterion": "last", "replicate": 0, "budget": "3", "n_removed": 3, "removed": [11, 10, 9]}
    assert found == [row]
    found = json.loads(run("compare a.csv b.csv --json --resamples 300 --confidence 0.9"))
    assert found["n_questions"] == 40 and found["low"] < found["difference"] < found["high"]
    assert (found["resamples"], found["confidence"], found["clustered"]) == (300, 0.9, False)


def test_the_printed_similarity_is_of_the_asked_tokens(run: Callable[..., str], place: Path) -> None:
    said = run("similarity workflow/resources/demo-llava --domain math.jsonl --out similarity --token-group image")
    profile = tables.read(place / "similarity" / "profile.parquet", "profile")
    mean = profile.filter(domain="math", token_group="image", layer=5)["cosine"][0]
    assert "image tokens" in said
    assert next(line for line in said.splitlines() if line.split()[:1] == ["5"]).split()[2] == f"{mean:.4f}"


# what is wrong


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("inspect ./nowhere", "Error: MODEL: './nowhere' is no model directory (it has no config.json); "),
        ("inspect a/b --trust-remote-code", "Error: --revision: 'main' is no commit; trust_remote_code needs"),
        (
            "inspect workflow/resources/demo-llava --decoder-path x",
            "Error: LlavaForConditionalGeneration: --decoder-path",
        ),
        (
            "similarity workflow/resources/demo-llava --domain math.jsonl --out o --dtype float3",
            "Error: --dtype: 'float3'",
        ),
        ("similarity workflow/resources/demo-llava --domain mth=x.jsonl --out o", "Error: --domain mth: 'x.jsonl' is"),
        (
            "similarity workflow/resources/demo-llava --domain math.jsonl --out o --samples 9",
            "Error: --samples: 9 samples are asked for, but math holds 4; ask for at most 4.",
        ),
        (
            "similarity workflow/resources/demo-llava --domain math.jsonl --out similarity --samples 2",
            "Error: --domain math: 'similarity/math.parquet' is of other samples; name another folder (--out), or "
            "measure anew (--force).",
        ),
        (
            "rank similarity --criterion mixd --budget 2",
            "Error: --criterion mixd: unknown criterion 'mixd'; did you mean ",
        ),
        ("rank similarity --criterion taylor --budget 2", "Error: --criterion taylor: it needs the gradients"),
        (
            "similarity workflow/resources/demo-llava --domain math.jsonl --out math.jsonl --samples 2",
            "Error: math.jsonl: file exists.",
        ),
        (
            "rank similarity --criterion mixed --budget 12",
            "Error: --budget: 12 removes 12 of the 12 decoder layers of demo-llava; a budget must remove between 1 and "
            "11.",
        ),
        ("rank similarity --criterion mixed --budget 2 --protected 12", "Error: --protected: 12 is no decoder layer"),
        (
            "rank similarity --criterion mixed --budget 2 --criteria-path x.py",
            "Error: --criteria-path: 'x.py' is no file",
        ),
        ("export workflow/resources/demo-llava --remove 12 --out o", "Error: --remove: 12 is no decoder layer"),
        ("compare a.csv c.csv", "Error: b: there is no file 'c.csv'; "),
        ("compare a.csv b.csv --variant-b x", "Error: --variant-b: b.csv has no column 'variant_id'"),
        ("compare a.csv b.csv --benchmark x.parquet", "Error: --benchmark: there is no file 'x.parquet'"),
    ],
)
def test_input_at_fault_gets_one_sentence_and_1(line: str, sentence: str, run: Callable[..., str], place: Path) -> None:
    said = run(line, 1)
    assert said.splitlines()[-1].startswith(sentence) and "Traceback" not in said
    assert not (place / "o").exists()


def test_what_a_study_says_stays_as_it_is(run: Callable[..., str], place: Path) -> None:
    study = f"--configfile {ROOT / 'config' / 'config.yaml'} --results here"
    said = run(f"export demo-lava --criterion mixed --budget 2 {study}", 1)
    assert "Error: models.demo-lava is not in" in said and "did you mean 'demo-llava'?" in said
    options = parse(["export", "m", "--criterion", "c", "--budget", "1"])
    assert as_options("raise models.<key>.gpus.", options) == "raise models.<key>.gpus."
    options = parse(["export", "m", "--remove", "1", "--out", "o"])
    assert as_options("raise models.<key>.gpus or choose", options) == "raise --gpus or choose"
    said = "set models.<key>.trust_remote_code: true and models.<key>.revision to the commit"
    assert as_options(said, options) == "set --trust-remote-code and --revision to the commit"


def test_options_reach_the_functions(run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Stop(Exception):
        """What was called has been seen."""

    def seen(*positional: Any, **named: Any) -> None:
        given.update({"positional": positional, **named})
        raise Stop

    for module, name in ((inspection, "inspect"), (measurement, "similarity"), (exporting, "export"),
                         (exporting, "export_variant"), (comparison, "compare")):  # fmt: skip
        monkeypatch.setattr(module, name, seen)
    model = "--revision r --trust-remote-code --decoder-path d"
    domains = "--domain x=y.csv --domain z.csv"
    device = "--dtype float16 --gpus 0 --threads 3"
    common = {"revision": "r", "trust_remote_code": True, "decoder_path": "d"}
    run_with = {**common, "dtype": "float16", "gpus": 0, "threads": 3}
    cases: dict[str, dict[str, Any]] = {
        f"inspect m {model}": {"positional": ("m",), **common},
        f"similarity m {domains} --out o --samples 5 --seed 4 --batch-size 2 --force {model} {device}": {
            "positional": ("m", {"x": "y.csv", "z": "z.csv"}, Path("o")),
            **{"samples": 5, "seed": 4, "batch_size": 2, "force": True, **run_with},
        },
        f"export m --remove 4,5 --out o --domain z.csv {model} {device}": {
            "positional": ("m", [4, 5], Path("o")), "domains": {"z": "z.csv"}, **run_with,
        },
        "export m --criterion c --budget 0.5 --replicate 2 --configfile f --results r --out o --threads 2": {
            "positional": ("m", "c", "0.5"), "replicate": 2, "configfile": Path("f"), "results": Path("r"),
            "out": Path("o"), "threads": 2,
        },
        "export m --criterion c --budget 1": {"positional": ("m", "c", "1")},
        "compare a b --variant-a x --variant-b y --benchmark z --scoring upstream --seed 9": {
            "positional": ("a", "b"), "variant_a": "x", "variant_b": "y", "benchmark": "z", "scoring": "upstream",
            "resamples": 2000, "confidence": 0.95, "seed": 9,
        },
    }  # fmt: skip
    for line, expected in cases.items():
        given.clear()
        with pytest.raises(Stop):
            run(line)
        assert given == expected, line


# how it ends


def test_a_full_disk_gets_one_sentence(run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(inspection, "inspect", full)
    assert run("inspect m", 1) == "Error: somewhere cannot be written: the disk is full; free some space.\n"


def test_an_error_of_the_program_is_shown_in_full(run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "inspect", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("inspect m")


def test_an_interrupt_ends_with_130_and_no_traceback(place: Path) -> None:
    waiting = (
        "import sys, time; from pruning_regimes.api import inspection; from pruning_regimes.cli import main\n"
        "def wait(*_, **__): print('waits', flush=True); time.sleep(60)\n"
        "inspection.inspect = wait\n"
        "sys.exit(main(['inspect', 'm']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", waiting], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place
    ) as process:
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "Interrupted.\n")


def test_a_reader_that_leaves_is_no_error(place: Path) -> None:
    line = [*COMMAND, "rank", "similarity", "--criterion", "mixed", "--budget", "2"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place) as process:
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=60)
    assert (process.returncode, said) == (141, "")


# progress


def on_a_terminal(line: list[str], place: Path) -> tuple[int, str]:
    """Exit status, and what a command shows on a terminal, stdout aside."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    with subprocess.Popen([*COMMAND, *line], stdout=subprocess.DEVNULL, stderr=theirs, cwd=place) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        process.wait(timeout=60)
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_a_bar_and_an_error_begins_a_line(place: Path) -> None:
    asked = [json.loads(line) for line in (place / "math.jsonl").read_text().splitlines()]
    # Cut off: its header is in order, so that only the measurement finds the damage.
    whole = (place / asked[-1]["images"][0]).read_bytes()
    (place / "damaged.png").write_bytes(whole[: len(whole) // 2])
    asked[-1]["images"] = ["damaged.png"]
    asked[-1]["question"] += " Look at it for long." * 9  # batches go by length
    (place / "damaged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    line = "similarity workflow/resources/demo-llava --domain math.jsonl --domain damaged.jsonl --out bars"
    status, shown = on_a_terminal([*line.split(), "--batch-size", "1", "--threads", "1"], place)
    assert status == 1
    assert "Similarity, samples: 100%|" in shown and "4/4" in shown
    assert "\nError: Calibration sample 'damaged-000003'" in shown and "took" not in shown
    assert not (place / "bars" / "damaged.parquet").exists() and (place / "bars" / "math.parquet").is_file()
