"""`snakemake --sdm conda`: jobs run in environments that hold what the files in envs/ list, and not this package.

conda is a stand-in without channels (bin/conda); Snakemake itself runs in an environment with what the README names.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.helpers import ROOT
from tests.helpers.studies import CONFIG, FIGURES

CONSTRAINTS = ROOT / "envs" / "constraints.txt"
# What the config check needs besides Snakemake, as the workflow itself says where it is missing.
NEEDED = ("numpy", "polars", "safetensors", "huggingface_hub")


def test_a_study_runs_in_environments_of_its_own(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", bare], check=True)
    pip = [bare / "bin" / "pip", "install", "--quiet", "-c", CONSTRAINTS, "snakemake"]
    subprocess.run(pip, check=True)
    config = copy.deepcopy(CONFIG)
    del config["models"]["demo-idefics3"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    fixed = ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--configfile", tmp_path / "study.yaml"]
    command = [bare / "bin" / "snakemake", *fixed, "--sdm", "conda", "--cores", "2"]
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "PATH": os.pathsep.join([str(ROOT / "tests" / "conda" / "bin"), str(bare / "bin"), os.environ["PATH"]]),
        "CONSTRAINTS": str(CONSTRAINTS),
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    lacking = run()
    assert lacking.returncode == 1 and "lacks 'polars'" in lacking.stdout + lacking.stderr
    assert f"pip install {' '.join(NEEDED)}." in lacking.stdout + lacking.stderr
    subprocess.run([*pip, *NEEDED], check=True)
    done = run()
    assert done.returncode == 0, done.stderr[-4000:]
    for figure in FIGURES:
        assert (tmp_path / "results" / "figures" / f"{figure}.png").is_file()
    checkpoint = "results/checkpoints/demo-llava/math_aware/1"
    exported = subprocess.run([*command, checkpoint], env=environment, capture_output=True, text=True, check=False)
    assert exported.returncode == 0, exported.stderr[-4000:]
    assert json.loads((tmp_path / checkpoint / "verification.json").read_text())["passed"]
    made = list((tmp_path / ".snakemake" / "conda").glob("*/bin/python"))
    assert len(made) == 2
    for python in made:
        code = "import pruning_regimes"
        assert subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, check=False).returncode
