"""The conda environments name what the package depends on; the profiles name options that Snakemake has."""

from __future__ import annotations

import ast
import copy
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT
from tests.helpers.studies import CONFIG, command

PROFILES = ROOT / "workflow" / "profiles"
# What a profile needs besides Snakemake; the beginnings of the options that this brings.
PLUGINS = {
    "workstation": ([], ()),
    "slurm": (["snakemake_executor_plugin_slurm"], ("slurm-",)),
    "kubernetes": (
        ["snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_s3"],
        ("kubernetes-", "storage-s3-"),
    ),
}

# What comes with what an environment lists.
BROUGHT = {"cpu": {"huggingface-hub", "latex2sympy2-extended", "sympy"}, "gpu": set()}


def requirements(lines: list[str]) -> dict[str, str]:
    """Package -> its bounds, without extras and spaces."""
    found = (re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?\s*(.*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def declared() -> dict[str, str]:
    """What the package depends on."""
    return requirements(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])


def in_environment(name: str) -> dict[str, str]:
    """What an environment installs with pip."""
    entries = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())["dependencies"]
    [installed] = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return requirements(installed)


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_an_environment_has_the_bounds_of_the_package(name: str) -> None:
    package = declared()
    for requirement, bounds in in_environment(name).items():
        assert bounds and bounds == package[requirement], requirement


def test_the_environments_together_have_what_the_package_depends_on() -> None:
    # Snakemake itself is where it is called.
    assert {*in_environment("cpu"), *in_environment("gpu")} == declared().keys() - {"snakemake"}


def test_there_are_no_other_profiles() -> None:
    assert {path.name for path in PROFILES.iterdir()} == PLUGINS.keys()


@pytest.mark.parametrize("name", PLUGINS)
def test_a_profile_names_options_that_snakemake_has(name: str) -> None:
    said = subprocess.run([sys.executable, "-m", "snakemake", "--help"], capture_output=True, text=True, check=True)
    options = set(re.findall(r"--([a-z][a-z0-9-]+)", said.stdout))
    keys = yaml.safe_load((PROFILES / name / "profile.yaml").read_text())
    assert [key for key in keys if key not in options and not key.startswith(PLUGINS[name][1])] == []


@pytest.mark.parametrize("name", ["workstation", "slurm"])  # kubernetes: beside its storage
def test_a_study_can_be_planned_with_a_profile(name: str, tmp_path: Path) -> None:
    if missing := [plugin for plugin in PLUGINS[name][0] if find_spec(plugin) is None]:
        pytest.skip(f"{', '.join(missing)}: not installed")
    arguments = ["--profile", str(PROFILES / name), "--dry-run"]
    done = subprocess.run(command(tmp_path, CONFIG, *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^predictions +4$", done.stdout + done.stderr, re.M)


def test_memory_and_time_of_a_job_follow_the_size_of_its_model(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["models"] = {"small": {"path": "owner/model-2B"}, "large": {"path": "owner/model-32B", "gpus": 2}}
    done = subprocess.run(command(tmp_path, config, "--dry-run"), capture_output=True, text=True, check=True)
    jobs = re.findall(r"^rule predictions:\n(?:    .*\n)+", done.stdout + done.stderr, re.M)
    found = {re.search(r"model=(\w+)", job)[1]: dict(re.findall(r"(gpu|mem_mb|runtime)=(\d+)", job)) for job in jobs}
    assert found == {
        "small": {"gpu": "0", "mem_mb": "16000", "runtime": "240"},
        "large": {"gpu": "2", "mem_mb": "136000", "runtime": "240"},
    }


def test_how_often_a_job_is_tried_is_said_by_profiles_only() -> None:
    # In a rule, a retry would happen within the job that a scheduler has given memory and time for one try.
    for file in [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]:
        assert not re.search(r"^\s*retries:", file.read_text(), re.M), file.name
    for name in PLUGINS:
        assert yaml.safe_load((PROFILES / name / "profile.yaml").read_text())["retries"] > 0


def imports(file: Path) -> set[str]:
    """Whole names of what a module imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def third_party(script: Path) -> set[str]:
    """What a script imports besides the standard library, by itself or through the package."""
    seen, todo, found = set(), [script], set()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in imports(file):
            top, _, rest = name.partition(".")
            if top == "pruning_regimes":
                place = ROOT / "workflow" / top / rest.replace(".", "/")
                todo += filter(Path.is_file, [place.with_suffix(".py"), *faces(place)])
            elif top not in sys.stdlib_module_names:
                found.add(top)
    return found


def faces(place: Path) -> list[Path]:
    """The `__init__.py` of each folder that is imported on the way to a module."""
    return [folder / "__init__.py" for folder in [place, *place.parents] if folder.is_relative_to(ROOT / "workflow")]


def test_a_rules_environment_has_what_its_script_imports() -> None:
    text = "".join(file.read_text() for file in (ROOT / "workflow" / "rules").glob("*.smk"))
    pattern = r'conda:\s+"\.\./\.\./envs/(\w+)\.yaml"(?:(?!\bconda:).)*?script:\s+"\.\./\.\./(.*?)"'
    jobs = re.findall(pattern, text, re.S)
    assert len(jobs) == text.count("script:") > 30
    owners = packages_distributions()
    for name, script in jobs:
        listed = {plain(package) for package in in_environment(name)} | BROUGHT[name]
        lacking = {top for top in third_party(ROOT / script) if not listed & set(map(plain, owners.get(top, [])))}
        assert lacking == set(), f"envs/{name}.yaml lacks what {script} imports"


def plain(package: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()
